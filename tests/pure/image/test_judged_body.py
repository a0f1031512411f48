"""What goes on to Prefect when a request was judged: the body that was read, once, with the length that it has."""

from __future__ import annotations

import asyncio
import json

import pytest
from prefect_server.asgi import Message, Scope
from prefect_server.keys import Rights, Verdict
from prefect_server.permission import LONGEST_JUDGED_BODY, Kind, Permission, Routes, permit, permit_own
from prefect_server.surface import AUDIT_PATH, KEYS_PATH, WHOAMI_PATH

VIEWER = Verdict(accepted="anna", rights=Rights.VIEWER)
OPERATOR = Verdict(accepted="ola", rights=Rights.OPERATOR)
ADMIN = Verdict(accepted="ada", rights=Rights.ADMIN)
SWITCH = ("PATCH", "/api/deployments/0f0f0f0f-0f0f-4f0f-8f0f-0f0f0f0f0f0f")
HEADERS = [(b"Content-Length", b"999"), (b"Transfer-Encoding", b"chunked"), (b"x-kept", b"transfer-encoding")]
END: Message = {"type": "http.disconnect"}


def scope_of(method: str, path: str) -> Scope:
    return {"type": "http", "method": method, "path": path, "query_string": b"", "headers": HEADERS}


def judged(
    verdict: Verdict, *messages: Message, method: str = SWITCH[0], path: str = SWITCH[1]
) -> tuple[Permission, list[Message]]:
    """The answer, and what the next two reads of the request that goes on give."""
    left = [*messages, END, END]

    async def receive() -> Message:
        return left.pop(0)

    async def run() -> tuple[Permission, list[Message]]:
        found = await permit(Routes().find(method, path), verdict, scope_of(method, path), receive)
        return found, [await found.receive(), await found.receive()]

    return asyncio.run(run())


def piece(body: bytes, *, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def test_what_was_judged_is_what_goes_on() -> None:
    """In one message with its own length; a length and an encoding that the client sent do not, other headers do."""
    found, (first, second) = judged(OPERATOR, piece(b'{ "paused":', more=True), piece(b" true }"))
    assert (found.kind, found.refusal) == (Kind.RUN, None)
    assert first == {"type": "http.request", "body": b'{"paused": true}', "more_body": False}
    assert second == END
    assert found.scope["headers"] == [(b"x-kept", b"transfer-encoding"), (b"content-length", b"16")]
    assert found.scope["path"] == SWITCH[1]


def test_a_body_that_says_the_same_twice_goes_on_as_it_was_judged() -> None:
    """Of two values of one key the last one counts, for the gate and for Prefect."""
    found, (first, _) = judged(OPERATOR, piece(b'{"paused": 1, "paused": false}'))
    assert (found.kind, first["body"]) == (Kind.RUN, b'{"paused": false}')


@pytest.mark.parametrize("message", [{"type": "http.request"}, piece(b"")])
def test_a_request_without_a_body_stays_one(message: Message) -> None:
    """It says nothing, so it changes nothing but a switch; a message may leave out what is empty."""
    found, (first, _) = judged(OPERATOR, message)
    assert (found.kind, found.refusal, first["body"]) == (Kind.RUN, None, b"")
    assert found.scope["headers"][-1] == (b"content-length", b"0")


def test_a_message_without_an_end_is_the_last_one() -> None:
    """ASGI's `more_body` is false where it is not said."""
    found, (first, _) = judged(OPERATOR, {"type": "http.request", "body": b'{"paused": true}'})
    assert (found.kind, json.loads(first["body"])) == (Kind.RUN, {"paused": True})


def test_a_body_is_judged_up_to_its_limit() -> None:
    """The longest one, also in two pieces; one byte more is refused and not read further."""
    text = b'{"paused": true}'
    fits = text + b" " * (LONGEST_JUDGED_BODY - len(text))
    assert judged(OPERATOR, piece(fits))[0].kind is Kind.RUN
    found, (_, second) = judged(OPERATOR, piece(fits, more=True), piece(b""))
    assert (found.kind, second) == (Kind.RUN, END)
    found, (_, second) = judged(OPERATOR, piece(fits + b" ", more=True), piece(b"unread"))
    assert (found.kind, bool(found.refusal)) == (Kind.CHANGE, True)
    assert second == piece(b"unread")


@pytest.mark.parametrize("body", [b"no JSON", b"[" * 50_000, b"[]", b'"paused"', b"null", b"\xff"])
def test_a_body_that_cannot_be_judged_is_refused(body: bytes) -> None:
    """It may be anything."""
    found, _ = judged(OPERATOR, piece(body))
    assert (found.kind, bool(found.refusal)) == (Kind.CHANGE, True)


def test_a_client_that_goes_away_is_refused_and_nothing_is_made_up() -> None:
    """What was read so far does not go on."""
    found, (first, _) = judged(OPERATOR, piece(b'{"paused":', more=True), END)
    assert (bool(found.refusal), first) == (True, END)


def test_what_needs_no_look_at_the_body_goes_on_untouched() -> None:
    """An admin's request, and a path that is not known: the same headers, the same messages, the right kind."""
    for verdict, method, path, kind in (
        (ADMIN, *SWITCH, Kind.CHANGE),
        (ADMIN, "PUT", "/api/unknown", Kind.CHANGE),
        (ADMIN, "GET", "/api/unknown", Kind.READ),
        (VIEWER, "GET", "/docs", Kind.READ),
        (VIEWER, "HEAD", "/docs", Kind.READ),
        (VIEWER, "OPTIONS", "/docs", Kind.READ),
    ):
        found, (first, _) = judged(verdict, piece(b"as it came"), method=method, path=path)
        assert (found.kind, found.refusal, first) == (kind, None, piece(b"as it came"))
        assert found.scope == scope_of(method, path)


@pytest.mark.parametrize(
    ("method", "path", "kind"), [("GET", "/api/unknown", Kind.READ), ("POST", "/docs", Kind.CHANGE)]
)
def test_a_path_that_is_not_known_needs_an_admin(method: str, path: str, kind: Kind) -> None:
    """The whole sentence; what is kept of the request is for the audit."""
    found, (first, _) = judged(VIEWER, piece(b"x"), method=method, path=path)
    assert found.refusal == (
        '"anna" is a viewer and may look at everything and change nothing: '
        "a path that the gate does not know needs an admin's rights."
    )
    assert (found.kind, found.scope, first) == (kind, scope_of(method, path), piece(b"x"))


def test_the_gates_own_routes_name_themselves_and_what_they_need() -> None:
    """The whole sentence; the program's own key counts keys, and nothing else; rights that are missing are none."""
    assert permit_own(OPERATOR, AUDIT_PATH) == (
        '"ola" is an operator and may run, cancel, pause and resume, and change nothing else: '
        f"GET {AUDIT_PATH} needs an admin's rights."
    )
    checks = Verdict(accepted="verify.2", rights=Rights.VIEWER)
    assert permit_own(checks, KEYS_PATH) is None
    assert permit_own(checks, AUDIT_PATH) is not None
    assert permit_own(Verdict(), KEYS_PATH) is not None
    refused = permit_own(Verdict(accepted="nobody"), WHOAMI_PATH)
    assert refused is not None
    assert refused.endswith(f"GET {WHOAMI_PATH} needs a viewer's rights.")


def test_a_request_that_is_refused_says_what_it_asked_for() -> None:
    """Secrets of a block are named; rights that are missing are none, also for reading."""
    block = "/api/block_documents/0f0f0f0f-0f0f-4f0f-8f0f-0f0f0f0f0f0f"
    match = Routes().find("GET", block)
    scope = {**scope_of("GET", block), "query_string": b"include_secrets=true"}

    async def unread() -> Message:
        return END

    found = asyncio.run(permit(match, VIEWER, scope, unread))
    assert found.refusal == (
        '"anna" is a viewer and may look at everything and change nothing: '
        "GET /api/block_documents/{id} with include_secrets needs an admin's rights."
    )
    assert found.scope == scope
    assert asyncio.run(permit(match, Verdict(accepted="nobody"), scope_of("GET", block), unread)).refusal


def test_of_several_routes_that_fit_the_one_that_needs_most_counts() -> None:
    """Whichever stands first in the table: which of them Prefect takes is not for the gate to guess."""
    for table in ("/a/{name} GET read\n/a/b GET change", "/a/b GET change\n/a/{name} GET read"):
        route = Routes(table).find("GET", "/api/a/b").route
        assert route is not None
        assert route.kind is Kind.CHANGE
