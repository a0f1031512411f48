from __future__ import annotations

import pytest
import requests

from clients.silence import NoAnswerError
from clients.timing import Pacer, retry_after
from clients.transport import Api, Call, Reply, RetryPolicy, Transport
from tests.support.scripted_http import FakeClock, ScriptedSession, answer, refused

GET = Call(method="GET", path="/thing")
POST = Call(method="POST", path="/thing", json={"a": 1})
REFUSED = refused()
RESET = requests.ConnectionError("Connection aborted", ConnectionResetError(104, "reset by peer"))


def transport(
    session: ScriptedSession, clock: FakeClock, policy: RetryPolicy | None = None, *, speaks_json: bool = False
) -> tuple[Transport, list[str]]:
    told: list[str] = []
    api = Api(
        base_url="http://127.0.0.1:1",
        title="Test API",
        headers={"Authorization": "Bearer planted"},
        request_id_header="x-request",
        speaks_json=speaks_json,
    )
    made = Transport(api, session=session, timing=clock.timing(), progress=told.append, policy=policy)
    return made, told


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_get_is_repeated_with_growing_pauses_after_transient_answers(status: int) -> None:
    """Each transient status of a GET is retried with pauses of 1, 2, 4 seconds, and every wait is told."""
    clock = FakeClock()
    session = ScriptedSession(*[answer(status)] * 3, answer(200, {"ok": True}))
    made, told = transport(session, clock)
    assert made.send(GET).json() == {"ok": True}
    assert clock.slept == [1.0, 2.0, 4.0]
    assert len(told) == 3
    assert f"HTTP {status}" in told[0]


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_a_post_that_may_have_had_its_effect_is_not_repeated(status: int) -> None:
    """A POST that is not marked idempotent is sent once when its answer leaves its effect open."""
    session = ScriptedSession(answer(status))
    made, _ = transport(session, FakeClock())
    assert made.send(POST).status == status
    assert len(session.sent) == 1


@pytest.mark.parametrize("failure", [RESET, requests.ReadTimeout("slow")])
def test_a_post_without_an_answer_is_not_repeated_and_says_it_may_have_arrived(failure: Exception) -> None:
    """A connection that breaks, or stays silent, after sending leaves open whether the POST was done."""
    session = ScriptedSession(failure)
    made, _ = transport(session, FakeClock())
    with pytest.raises(NoAnswerError) as caught:
        made.send(POST)
    assert caught.value.maybe_sent
    assert len(session.sent) == 1


@pytest.mark.parametrize("first", [answer(429), REFUSED, requests.ConnectTimeout("no route")])
def test_a_post_that_cannot_have_had_an_effect_is_repeated(first: requests.Response | Exception) -> None:
    """429 and connections that were never made are retried for every method."""
    session = ScriptedSession(first, answer(201, {"id": 1}))
    made, _ = transport(session, FakeClock())
    assert made.send(POST).status == 201


def test_a_call_marked_idempotent_is_repeated_after_a_reset() -> None:
    """The mark makes a POST as repeatable as a GET."""
    session = ScriptedSession(RESET, answer(503), answer(200))
    made, _ = transport(session, FakeClock())
    assert made.send(Call(method="POST", path="/thing", idempotent=True)).ok


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 412, 422])
def test_answers_that_repeating_does_not_change_come_back_at_once(status: int) -> None:
    """A refusal is handed to the client without a second attempt."""
    session = ScriptedSession(answer(status))
    made, _ = transport(session, FakeClock())
    assert made.send(GET).status == status


def test_an_answer_that_the_call_expects_is_not_retried() -> None:
    """A long poll's 408 is an answer, not trouble."""
    session = ScriptedSession(answer(408))
    made, _ = transport(session, FakeClock())
    assert made.send(Call(method="GET", path="/wait", answers=frozenset({408}))).status == 408


def test_a_call_can_name_a_transient_answer_of_its_own() -> None:
    """retry_on makes a POST go again after the one 400 that is known to have had no effect."""

    def lagging(reply: Reply) -> bool:
        return b"MANIFEST_UNKNOWN" in reply.body

    session = ScriptedSession(answer(400, {"error": "MANIFEST_UNKNOWN"}), answer(200))
    made, _ = transport(session, FakeClock())
    assert made.send(Call(method="POST", path="/machines", retry_on=lagging)).ok


def test_retry_after_is_honoured() -> None:
    """The API's own wait replaces ours."""
    clock = FakeClock()
    session = ScriptedSession(answer(429, headers={"retry-after": "7"}), answer(200))
    made, _ = transport(session, clock)
    assert made.send(GET).ok
    assert clock.slept == [7.0]


def test_a_retry_after_beyond_the_budget_fails_at_once() -> None:
    """Nobody is kept waiting for an hour: the answer goes back to the client, which says so."""
    clock = FakeClock()
    session = ScriptedSession(answer(429, headers={"Retry-After": "3600"}))
    made, _ = transport(session, clock, RetryPolicy(budget=60.0))
    assert made.send(GET).status == 429
    assert clock.slept == []


def test_retries_end() -> None:
    """The last of the allowed attempts is the answer."""
    clock = FakeClock()
    session = ScriptedSession(*[answer(503)] * 4)
    made, _ = transport(session, clock, RetryPolicy(attempts=4))
    assert made.send(GET).status == 503
    assert session.script == []


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("5", 5.0),
        ("", None),
        ("soon", None),
        ("Tue, 14 Nov 2023 22:13:30 GMT", 10.0),
        ("Tue, 14 Nov 2023 00:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(value: str, seconds: float | None) -> None:
    """Both forms of RFC 9110 are understood; anything else is as if it were not there."""
    assert retry_after({"Retry-After": value}, 1_700_000_000.0) == seconds


def test_no_error_text_holds_the_token_or_the_address() -> None:
    """What requests says about a failure holds URLs and proxies; our texts do not."""
    session = ScriptedSession(requests.ConnectionError("http://user:planted@proxy refused NewConnectionError"))
    made, told = transport(session, FakeClock(), RetryPolicy(attempts=1))
    with pytest.raises(NoAnswerError) as caught:
        made.send(GET)
    assert "planted" not in str(caught.value) + "".join(told)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert "planted" not in repr(made.api)


def test_our_authorization_wins_over_netrc_and_timeouts_are_explicit() -> None:
    """The header is set last, and every request has a connect and a read timeout."""
    session = ScriptedSession(answer(200))
    made, _ = transport(session, FakeClock())
    made.send(Call(method="GET", path="/thing", read_timeout=3.0))
    assert session.sent[0].headers["Authorization"] == "Bearer planted"
    assert session.sent[0].timeout == (10.0, 3.0)


def test_the_request_id_is_kept() -> None:
    """Support asks for it, so errors can show it."""
    session = ScriptedSession(answer(500, headers={"X-Request": "r-1"}))
    made, _ = transport(session, FakeClock(), RetryPolicy(attempts=1))
    assert made.send(GET).request_id == "r-1"


def test_the_pacer_lets_a_burst_through_and_then_one_call_a_second() -> None:
    """Fly's limit of 1 a second with a burst of 3 is kept without hitting it, per bucket."""
    clock = FakeClock()
    pacer = Pacer(1.0, 3, clock=clock.time, sleep=clock.sleep)
    for _ in range(5):
        pacer.wait("update:m1")
    assert clock.slept == [1.0, 1.0]
    pacer.wait("update:m2")
    assert clock.slept == [1.0, 1.0]


def test_a_bucket_fills_up_again() -> None:
    """After a pause the whole burst is there again."""
    clock = FakeClock()
    pacer = Pacer(1.0, 3, clock=clock.time, sleep=clock.sleep)
    for _ in range(3):
        pacer.wait("x")
    clock.now += 60
    for _ in range(3):
        pacer.wait("x")
    assert clock.slept == []


def test_a_body_that_is_no_json_is_none() -> None:
    """Fly answers some errors with an empty body, proxies with HTML."""
    assert Reply(status=502, headers={}, body=b"<html>").json() is None
    assert Reply(status=502, headers={}, body=b"").json() is None


def raw(status: int, body: bytes, kind: str) -> requests.Response:
    response = answer(status, headers={"Content-Type": kind})
    response._content = body
    return response


PAGE = raw(200, b"<!doctype html><title>Gateway</title>", "text/html; charset=utf-8")
UNNAMED_PAGE = raw(200, b"\n<!doctype html><title>Gateway</title>", "text/plain")
HALF = raw(200, b'{"ips": [{"ip": "66.2', "application/json")
NOTHING = raw(200, b"", "application/json")


@pytest.mark.parametrize("garbled", [PAGE, HALF, NOTHING])
def test_a_get_whose_answer_is_not_the_apis_is_repeated(garbled: requests.Response) -> None:
    """A proxy's page or half a list with status 200 would read as an empty list, and what is in it as gone."""
    session = ScriptedSession(garbled, answer(200, {"ips": []}))
    made, told = transport(session, FakeClock(), speaks_json=True)
    assert made.send(GET).json() == {"ips": []}
    assert "the answer is not the API's: HTTP 200 with" in told[0]


@pytest.mark.parametrize("garbled", [PAGE, HALF, NOTHING])
def test_a_create_whose_answer_is_not_the_apis_may_have_had_its_effect(garbled: requests.Response) -> None:
    """It is sent once; the caller looks whether the thing is there."""
    session = ScriptedSession(garbled)
    made, _ = transport(session, FakeClock(), speaks_json=True)
    with pytest.raises(
        NoAnswerError, match=r"not the API's: HTTP 200 with \d+ bytes of (text/html|application/json)"
    ) as caught:
        made.send(Call(method="POST", path="/thing", json={"a": 1}, reads=True))
    assert caught.value.maybe_sent
    assert len(session.sent) == 1


@pytest.mark.parametrize("garbled", [PAGE, UNNAMED_PAGE, HALF])
def test_what_nobody_reads_may_be_nothing_or_words(garbled: requests.Response) -> None:
    """An API may answer an action so; a page, whatever its type, or half a reply is a proxy's all the same."""
    answers = ScriptedSession(NOTHING, raw(200, b"ok", "text/plain"), garbled)
    made, _ = transport(answers, FakeClock(), speaks_json=True)
    assert made.send(POST).ok
    assert made.send(POST).ok
    with pytest.raises(NoAnswerError):
        made.send(POST)


@pytest.mark.parametrize("garbled", [PAGE, UNNAMED_PAGE, HALF])
def test_a_deletion_whose_answer_is_not_the_apis_is_repeated(garbled: requests.Response) -> None:
    """Taken for a success it would leave behind what then nobody knows of."""
    session = ScriptedSession(garbled, answer(204))
    made, told = transport(session, FakeClock(), speaks_json=True)
    assert made.send(Call(method="DELETE", path="/monitors/1", idempotent=True)).status == 204
    assert "the answer is not the API's: HTTP 200 with" in told[0]


def test_a_server_that_has_pages_may_send_them() -> None:
    """Only an API that speaks JSON is held to it: Prefect's server has a UI as well."""
    made, _ = transport(ScriptedSession(PAGE), FakeClock())
    assert made.send(GET).ok
