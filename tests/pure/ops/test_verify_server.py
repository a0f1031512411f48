from __future__ import annotations

import argparse
import types
from typing import Any

import pytest
import requests

from clients.fly import FlyClient
from clients.fly.model import Machine
from clients.prefect import PrefectClient
from ops import verify_server
from ops.errors import OpsError
from tests.support.fake_server import CREDENTIAL, FakeServer, use
from tests.support.ops_runtime import Surroundings
from tests.support.scripted_http import FakeClock, answer, unresolved


def look(server: FakeServer) -> str:
    return verify_server.look(server.client(), CREDENTIAL, "captionacc-prefect")


def test_a_good_server_leaves_nothing_to_say() -> None:
    """Ready, closed, taking the key in both forms and serving its page: no problem is found."""
    assert look(FakeServer()) == ""


def test_an_open_server_fails_at_once_and_says_how_bad_it_is() -> None:
    """A server that answers API requests without credentials is not waited for."""
    server = FakeServer()
    server.anonymous_status = 200
    with pytest.raises(OpsError, match=r"answers API requests without any credential \(HTTP 200\), so anybody"):
        look(server)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"ready_status": 503}, "/api/ready answered HTTP 503"),
        ({"anonymous_status": 403}, "an API request without credentials is answered HTTP 403 instead of 401"),
        ({"accepted": set()}, 'an API request with key "verify" as Basic is answered HTTP 401'),
        ({"accepted": {CREDENTIAL.basic()}}, 'an API request with key "verify" as Bearer is answered HTTP 401'),
        ({"root": answer(404)}, "the UI's page is answered HTTP 404 (no content type)"),
        ({"unreachable": requests.ConnectTimeout()}, "the server does not answer yet: the connection timed out"),
    ],
)
def test_what_does_not_hold_is_named(change: dict[str, object], problem: str) -> None:
    """Each single failing condition is the one that is reported."""
    server = FakeServer()
    for name, value in change.items():
        setattr(server, name, value)
    assert look(server) == problem


def test_a_redirect_to_the_ui_is_followed_within_the_server_only() -> None:
    """A relative redirect leads to the UI; one to another host is not followed."""
    server = FakeServer()
    server.root = answer(307, None, {"Location": "/v2/"})
    server.pages["/v2/"] = answer(200, None, {"Content-Type": "text/html"})
    assert look(server) == ""
    server.root = answer(307, None, {"Location": "//elsewhere.test/"})
    assert look(server) == "the UI's page is answered HTTP 307 (no content type)"


def test_a_new_name_is_waited_for_and_then_fails_with_the_app(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that never resolves is tried until the time is over; the sentence says what was seen and where to look."""
    clock = FakeClock()
    around = Surroundings(clock, {"PREFECT_FLY_VERIFY_KEY": "verify:k"})
    server = FakeServer()
    server.unreachable = unresolved()
    client = server.client()
    monkeypatch.setattr(PrefectClient, "at", lambda _url, _world: client)
    flags = argparse.Namespace(
        server_url="http://127.0.0.1:4200",
        server_app="captionacc-prefect",
        accepted_keys="",
        timeout=60,
        reach="direct",
    )
    began = clock.now
    with pytest.raises(OpsError) as failure:
        verify_server.run(flags, around.rt)
    assert clock.now - began == 60
    assert str(failure.value) == (
        'could not verify server "http://127.0.0.1:4200": the server does not answer yet: the host name could not be '
        'resolved, still so after 60 s. Read its log (app "captionacc-prefect", for example "fly logs -a '
        'captionacc-prefect"), fix the cause, then run "pulumi up" again.'
    )


@pytest.mark.parametrize("value", ["", "verify", ":key", "verify:"])
def test_a_malformed_credential_is_named_and_not_shown(value: str) -> None:
    """PREFECT_FLY_VERIFY_KEY has to be name:key; the error names the variable and never the value."""
    around = Surroundings(FakeClock(), {"PREFECT_FLY_VERIFY_KEY": value})
    with pytest.raises(OpsError, match='variable "PREFECT_FLY_VERIFY_KEY": it is not of the form name:key') as failure:
        verify_server.credential_from(around.rt)
    assert not value or f'"{value}"' not in str(failure.value)


def machine(machine_id: str, **changed: Any) -> Machine:
    body = {"id": machine_id, "name": f"n-{machine_id}", "state": "started", "config": {"services": [{}]}} | changed
    return Machine.from_wire(body)


def each_machine(server: FakeServer, machines: list[Machine], monkeypatch: pytest.MonkeyPatch) -> str:
    fly = types.SimpleNamespace(machines=types.SimpleNamespace(list=lambda _app: machines))
    monkeypatch.setattr(FlyClient, "from_environment", lambda *_args, **_more: fly)
    flags = argparse.Namespace(server_app="captionacc-prefect", accepted_keys="admin,verify", keys_generation=7)
    return verify_server.look_at_each_machine(server.client(), CREDENTIAL, flags, Surroundings(FakeClock()).rt)


def test_a_clone_that_accepts_a_revoked_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every machine that serves is asked for itself; one with a key too many is named with the command against it."""
    server = FakeServer()
    server.keys = {"a1": {"admin": use(), "verify": use()}, "b2": {"admin": use(), "left": use(), "verify": use()}}
    server.generations = {"a1": 7, "b2": 7}
    assert each_machine(server, [machine("a1")], monkeypatch) == ""
    said = each_machine(server, [machine("a1"), machine("b2")], monkeypatch)
    assert 'machine "b2" (n-b2) serves requests and still accepts the key left' in said
    assert '"fly machine destroy --force b2 -a captionacc-prefect"' in said


def test_a_machine_that_does_not_follow_the_keys_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The right names are not enough: a key of before may have had the same name."""
    server = FakeServer()
    server.keys = {"a1": {"admin": use(), "verify": use()}}
    server.generations = {"a1": 6}
    said = each_machine(server, [machine("a1")], monkeypatch)
    assert said == 'machine "a1" (n-a1) uses generation 6 of the keys and not 7: it does not follow them'
    server.generations = {"a1": 8}
    assert each_machine(server, [machine("a1")], monkeypatch) == ""


def test_a_machine_with_other_keys_altogether_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that refuses even the verification's own key runs with somebody else's."""
    server = FakeServer()
    server.accepted = set()
    assert "does not accept the stack's keys" in each_machine(server, [machine("a1")], monkeypatch)


def test_machines_that_get_no_requests_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stopped one, one without services and a cordoned one cannot let anybody in."""
    server = FakeServer()
    idle = [machine("a", state="stopped"), machine("b", config={}), machine("c", cordoned=True)]
    assert each_machine(server, idle, monkeypatch) == ""
    assert server.asked == []
