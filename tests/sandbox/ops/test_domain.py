"""`verify-domain` and doctor's line: how far a name of one's own is, in words that say what to do."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from clients.endpoints import World
from ops import __main__ as program
from ops import status_server
from ops.runtime import Progress, Runtime
from ops.status_seen import Seen
from ops.status_stack import StatedStack
from sandbox.captionacc import SERVER
from sandbox.testing import Sandbox
from tests.sandbox.ops.conftest import Verbs
from tests.support.fly_world import ORG, client_of
from tests.support.health_server import health_server
from tests.support.waiting import until

NAME = "prefect.example.com"
VERIFY = ("verify-domain", "--server-app", SERVER, "--domain", NAME)


@pytest.fixture(autouse=True)
def named(verbs: Verbs) -> None:
    """Let the server's app have the name, and nothing in the DNS."""
    app = verbs.sandbox.fly.add_app(SERVER, ORG)
    for kind in ("shared_v4", "v6"):
        verbs.sandbox.fly.state.add_address(app, kind)
    client_of(verbs.sandbox).certificates.request(SERVER, NAME)


def issue(sandbox: Sandbox) -> None:
    sandbox.fly.state.set_dns(NAME, "CNAME", [f"{SERVER}.fly.dev"])
    until(lambda: client_of(sandbox).certificates.check(SERVER, NAME).issued)


def doctor(verbs: Verbs) -> str:
    """Return the line about the name, up to what it says of it."""
    program.main(["doctor", "--endpoints", "sandbox", "--org", ORG, "--server-app", SERVER, "--domain", NAME])
    (line,) = [line for line in verbs.capture.readouterr().out.splitlines() if f"domain {NAME}" in line]
    return line


def test_a_name_that_leads_nowhere_fails_with_the_records_to_add(verbs: Verbs) -> None:
    """What was found, and both ways to put it right, stand in one sentence."""
    verbs.sandbox.fly.state.set_dns(NAME, "A", ["192.0.2.9"])
    assert verbs.run(*VERIFY, "--server-url", "http://127.0.0.1:9", "--timeout", "1") is None
    v4, v6 = (address.ip for address in verbs.sandbox.fly.state.apps[SERVER].addresses)
    begin = f'could not use domain "{NAME}": its DNS does not lead to the app (found: A 192.0.2.9): add CNAME {NAME} → '
    assert begin in verbs.failure
    assert f"or A {NAME} → {v4} and AAAA {NAME} → {v6}, still so after 1 s. Nothing uses it yet." in verbs.failure


def test_a_name_of_another_organization_wants_proof(verbs: Verbs) -> None:
    """Fly asks for the ownership record, and the sentence says which."""
    other = verbs.sandbox.fly.add_app("elsewhere", "somebody-else")
    other.certificates[NAME] = verbs.sandbox.fly.state.apps[SERVER].certificates[NAME]
    assert verbs.run(*VERIFY, "--server-url", "http://127.0.0.1:9", "--timeout", "1") is None
    assert f"Fly wants proof that the name is yours: add TXT _fly-ownership.{NAME} → app-" in verbs.failure


def test_a_valid_certificate_is_not_enough(verbs: Verbs) -> None:
    """The server has to answer under the name; then the wait is over."""
    issue(verbs.sandbox)
    assert verbs.run(*VERIFY, "--server-url", "http://127.0.0.1:9", "--timeout", "1") is None
    assert "the certificate is valid, but the server does not answer under the name yet" in verbs.failure
    with health_server(lambda: "healthy") as url:
        report = verbs.run(*VERIFY, "--server-url", url.removesuffix("/health"), "--timeout", "60")
    assert report == {"domain": NAME, "verified": True}


def test_a_name_that_the_app_does_not_have_is_not_waited_for(verbs: Verbs) -> None:
    """It says what asks for it again."""
    client_of(verbs.sandbox).certificates.remove(SERVER, NAME)
    assert verbs.run(*VERIFY, "--server-url", "http://127.0.0.1:9", "--timeout", "3600") is None
    assert f'app "{SERVER}" does not have it' in verbs.failure
    assert 'Run "pulumi up --refresh"' in verbs.failure


def test_doctor_tells_how_far_it_is_and_checks_nothing(verbs: Verbs) -> None:
    """On its way is a note, issued is fine, a DNS that has left is a problem, and not asked for is a note again."""
    assert doctor(verbs).startswith("note ")
    issue(verbs.sandbox)
    seen = len(verbs.sandbox.journal())
    assert doctor(verbs).startswith("ok ")
    verbs.sandbox.fly.state.set_dns(NAME, "CNAME", ["elsewhere.example.com"])
    assert doctor(verbs).startswith("problem ")
    assert {entry["method"] for entry in verbs.sandbox.journal()[seen:]} == {"GET"}
    client_of(verbs.sandbox).certificates.remove(SERVER, NAME)
    assert '"pulumi up" asks for its certificate' in doctor(verbs)


def test_status_has_a_line_about_it(verbs: Verbs) -> None:
    """What lacks is a note, a valid one is well, and a stack without a name has no such line."""

    def lines(name: str) -> list[tuple[str, str]]:
        stack = cast("StatedStack", SimpleNamespace(domain=name, server_app=SERVER))
        seen = Seen(stack, Runtime(world=World.SANDBOX, progress=Progress(), environ=verbs.sandbox.env()))
        return [(line.state, line.text) for line in status_server.domain(seen)]

    ((state, text),) = lines(NAME)
    assert (state, text.startswith(f"{NAME}: its DNS does not lead to the app: add CNAME")) == ("note", True)
    issue(verbs.sandbox)
    assert lines(NAME) == [("ok", f"{NAME}: its certificate is valid")]
    assert lines("") == []


def test_fly_is_made_to_look_at_the_dns_seldom(verbs: Verbs) -> None:
    """Each look may be a failure that the authority counts: one in 30 s, and plain reads in between."""
    began = verbs.sandbox.clock.time()
    assert verbs.run(*VERIFY, "--server-url", "http://127.0.0.1:9", "--timeout", "3") is None
    seconds = verbs.sandbox.clock.time() - began
    calls = [f"{call['method']} {call['path']}" for call in verbs.sandbox.journal("fly")]
    path = f"/v1/apps/{SERVER}/certificates/{NAME}"
    assert 1 <= calls.count(f"POST {path}/check") <= 1 + seconds / 30
    assert calls.count(f"GET {path}") > 1
