"""Whose key a verb asks with."""

from __future__ import annotations

import argparse

import pytest

from ops import doctor
from ops.own_key import OwnKey
from ops.runtime import Runtime
from ops.stack_settings import from_stack
from tests.support.fake_server import CREDENTIAL, FakeServer, use
from tests.support.ops_runtime import Surroundings
from tests.support.scripted_http import FakeClock, answer

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z


@pytest.mark.parametrize(
    ("rights", "expires", "state", "text"),
    [
        ("admin", None, "ok", 'asked as "anna" with admin rights'),
        ("admin", "2027-03-15T08:00:00Z", "ok", ", it expires in 59 days"),
        ("admin", "2027-01-20T08:00:00Z", "note", ", it expires in 5 days: give it a later date (logins)"),
        ("admin", "2027-01-15T18:00:00Z", "note", ", it expires in 10 hours: give it a later date (logins)"),
        ("viewer", None, "note", "with viewer rights (to see and change everything, use an admin's)"),
        (
            "operator",
            "2027-03-15T08:00:00Z",
            "note",
            "(to see and change everything, use an admin's), it expires in 59",
        ),
        ("admin", "soon", "ok", 'asked as "anna" with admin rights'),
    ],
)
def test_a_key_that_ends_soon_or_may_not_do_all_is_a_note(
    rights: str, expires: str | None, state: str, text: str
) -> None:
    """Name, rights and time left are said; an admin's key with time left is well."""
    found, said = OwnKey.of({"name": "anna", "rights": rights, "expires": expires}).judged(NOW)
    assert (found, text in said) == (state, True), said


def _doctor(monkeypatch: pytest.MonkeyPatch, server: FakeServer) -> list[tuple[str, str, str]]:
    monkeypatch.setattr(doctor, "prefect_client", lambda *_given: server.client())
    rt: Runtime = Surroundings(FakeClock(), {"PREFECT_FLY_VERIFY_KEY": f"verify:{CREDENTIAL.key}"}).rt
    args = argparse.Namespace(stack=None, endpoints="sandbox", server_url="http://127.0.0.1:4200")
    found = doctor._server(from_stack(args, rt), rt)
    return [(finding.subject, finding.state, finding.text) for finding in found]


def test_doctor_says_whose_key_it_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of its own; without an admin's rights the keys' use is left out and nothing is a problem."""
    server = FakeServer()
    server.keys[""] = {"orchestrator": use()}
    server.pages["/gate/whoami"] = answer(200, {"name": "anna", "rights": "admin", "expires": None})
    assert [subject for subject, _, _ in _doctor(monkeypatch, server)] == [
        *("server", "PREFECT_FLY_VERIFY_KEY", "key orchestrator")
    ]
    server.pages["/gate/whoami"] = answer(200, {"name": "anna", "rights": "viewer", "expires": None})
    monkeypatch.setattr(server, "_keys", lambda *_given: answer(403, {}))
    found = _doctor(monkeypatch, server)
    assert [(subject, state) for subject, state, _ in found] == [("server", "ok"), ("PREFECT_FLY_VERIFY_KEY", "note")]
    assert 'asked as "anna" with viewer rights' in found[1][2]
