"""The signed key ring in the state, and what publishing it does with each answer of a server."""

from __future__ import annotations

import json
import re
import time
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from pulumi.output import UNKNOWN

from clients.endpoints import World
from clients.prefect import PrefectAnswerError, PrefectClient, PrefectUnauthorizedError, PrefectUnreachableError
from clients.signing import publisher, ring_mac
from clients.timing import Timing
from providers.key_ring import KeyRingProvider
from providers.published_keys import PublishedKeysProvider, publish
from tests.support.dynamic_engine import CheckRefusedError, EngineSide
from tests.support.scripted_http import FakeClock, answer

URL = "http://127.0.0.1:4200"
RING = {
    "url": URL,
    "ring": "{}",
    "generation": 5,
    "mac": "proof",
    "signing": "secret",
    "app": "captionacc-prefect",
    "inside": False,
    "endpoints": "sandbox",
    "timeout": 60,
}


class Server(requests.Session):
    """Answers /gate/keys with what a test wrote, in order; the last answer stays."""

    def __init__(self, *answers: requests.Response | Exception) -> None:
        super().__init__()
        self.answers, self.seen = list(answers), list[tuple[str, str, Any]]()

    def request(self, method: str, url: str, **given: Any) -> requests.Response:  # type: ignore[override]
        """Answer."""
        self.seen.append((f"{method} {urlsplit(url).path}", given["headers"]["Authorization"], given.get("json")))
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(found, Exception):
            raise found
        return found


def serve(monkeypatch: pytest.MonkeyPatch, *answers: requests.Response | Exception) -> Server:
    server = Server(*answers)
    at = PrefectClient.at

    def with_session(url: str, world: World, _session: object = None) -> PrefectClient:
        return at(url, world, server)

    monkeypatch.setattr(PrefectClient, "at", with_session)
    return server


def clock() -> Timing:
    fake = FakeClock()
    return Timing(clock=lambda: fake.now, sleep=fake.sleep)


def used(generation: int) -> requests.Response:
    return answer(200, {"generation": generation})


def test_each_change_of_a_ring_is_signed_with_a_greater_generation(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof is for the new text and secret, and a clock that went back makes no older generation."""
    first, second = {"ring": "first", "signing": "secret"}, {"ring": "second", "signing": "secret"}
    monkeypatch.setattr(time, "time", lambda: 2000.0)
    state = EngineSide(KeyRingProvider).create(first)
    assert state.outputs["generation"] == 2_000_000
    assert state.up(first) == "same"
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    assert state.up(second) == "update"
    assert state.outputs["generation"] == 2_000_001
    assert state.outputs["mac"] == ring_mac("secret", 2_000_001, "second")
    assert state.refresh()
    assert state.up(second) == "same"
    assert state.up(second | {"signing": "another"}) == "update"
    assert state.outputs["mac"] == ring_mac("another", 2_000_002, "second")
    assert state.diff({"ring": UNKNOWN, "signing": "another"}).changes


def test_publishing_sends_ring_and_proof_and_never_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """One PUT with a credential made of the secret; the same generation again is nothing to do."""
    server = serve(monkeypatch, used(5))
    state = EngineSide(PublishedKeysProvider).create(RING)
    assert server.seen == [
        ("PUT /gate/keys", f"Bearer {publisher('secret')}", {"generation": 5, "ring": "{}", "mac": "proof"})
    ]
    assert "secret" not in json.dumps(server.seen)
    assert state.up(RING) == "same"
    assert state.up(RING | {"timeout": 5}) == "same"
    assert state.up(RING | {"generation": 6}) == "update"
    assert state.diff(RING | {"generation": UNKNOWN}).changes
    assert len(server.seen) == 2


@pytest.mark.parametrize("trouble", [requests.ConnectionError(), answer(502), answer(503, {"exception_message": "x"})])
def test_a_server_that_comes_later_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, trouble: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """A new name, a proxy without a machine, a database that is away: tried again until it is taken, and said so."""
    server = serve(monkeypatch, trouble, trouble, used(5))
    assert publish(RING, clock())["drifted"] is False
    assert len(server.seen) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("the server does not take the keys yet (")
    assert line.endswith(" s left")


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        (requests.ConnectionError(), PrefectUnreachableError, "could not publish the keys of server"),
        (answer(401), PrefectUnauthorizedError, r'another signing secret or an older image: run "pulumi up --refresh"'),
        (answer(403, {"exception_message": "It is not signed."}), PrefectAnswerError, r"HTTP 403: It is not signed \("),
        (answer(409, {"generation": 9, "exception_message": "x"}), PrefectAnswerError, "state is older than what the"),
        (answer(422, {"exception_message": "cannot use"}), PrefectAnswerError, "HTTP 422: cannot use"),
        (answer(404), PrefectAnswerError, "answered HTTP 404"),
    ],
)
def test_what_a_server_does_not_take_is_said(
    monkeypatch: pytest.MonkeyPatch, given: Any, error: type[Exception], says: str
) -> None:
    """Each refusal ends with the server's reason and the next step; no text holds ring, proof or secret."""
    serve(monkeypatch, given)
    with pytest.raises(error, match=says) as failure:
        publish(RING, clock())
    assert not re.search("proof|secret'|Bearer", str(failure.value))


def test_a_refresh_sees_another_generation_and_needs_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another generation is fixed by the next up; a server that does not answer is no difference and no error."""
    server = serve(monkeypatch, used(5))
    state = EngineSide(PublishedKeysProvider).create(RING)
    assert state.refresh()
    assert state.up(RING) == "same"
    for silent in (requests.ConnectionError(), answer(401), answer(502)):
        server.answers = [silent]
        assert state.refresh()
        assert state.up(RING) == "same"
    server.answers = [used(4)]
    assert state.refresh()
    server.answers = [used(5)]
    assert state.up(RING) == "update"
    assert state.up(RING) == "same"


def test_a_published_ring_needs_a_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is named before anything is sent."""
    server = serve(monkeypatch, used(5))
    with pytest.raises(CheckRefusedError, match='could not use "mac"'):
        EngineSide(PublishedKeysProvider).create({key: value for key, value in RING.items() if key != "mac"})
    assert server.seen == []
