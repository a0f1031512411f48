from __future__ import annotations

import argparse
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import requests

from clients.endpoints import World
from clients.fly import FlyClient
from clients.fly.model import Machine
from ops import verify
from ops.errors import OpsError
from ops.orchestrator_health import HealthEndpoint
from ops.outdated_machines import Rollout
from ops.verify import KeyUsage, is_before_3
from tests.support.fake_server import CREDENTIAL, FakeServer, use
from tests.support.ops_runtime import Surroundings
from tests.support.scripted_http import FakeClock, ScriptedSession, answer

SINCE = 1_700_000_000.0
HEALTH = "http://127.0.0.1:8080/health"


class FakeFly:
    """Has machines, by id, state and whether they serve."""

    def __init__(self, *machines: tuple[str, str, bool]) -> None:
        self._machines = tuple(
            Machine.from_wire({"id": name, "state": state, "config": {"services": [{}] if serves else []}})
            for name, state, serves in machines
        )

    @property
    def machines(self) -> FakeFly:
        """Be the noun as well."""
        return self

    def list(self, _app: str) -> tuple[Machine, ...]:
        """Return them."""
        return self._machines


def witness(server: FakeServer, *machines: tuple[str, str, bool]) -> KeyUsage:
    fly = FakeFly(*machines)
    return KeyUsage(
        fly,  # type: ignore[arg-type]
        server.client(),
        CREDENTIAL,
        app="captionacc-prefect",
        key="orchestrator",
        since=SINCE,
    )


def test_the_newest_use_on_any_serving_machine_counts() -> None:
    """Each started machine that serves is asked by its id; services machines and stopped ones are not."""
    server = FakeServer()
    server.keys = {"a": {"orchestrator": use(last_accepted=SINCE - 5)}, "b": {"orchestrator": use(last_accepted=SINCE)}}
    machines = [("a", "started", True), ("b", "started", True), ("c", "stopped", True), ("d", "started", False)]
    assert witness(server, *machines).missing() == ""
    assert server.asked == ["a", "b"]


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({}, "the server never saw it used"),
        ({"orchestrator": use(last_accepted=None, accepted=0)}, "the server never saw it used"),
        ({"orchestrator": use(last_accepted=SINCE - 1)}, "accepted its last request before the redeploy began"),
        ({"orchestrator": use(last_accepted=None, refused=4)}, "only ever refused requests in its name"),
        ({"github": use()}, "the server never saw it used"),
    ],
)
def test_a_key_that_was_not_used_since_is_told_with_the_reason(keys: dict[str, dict[str, object]], why: str) -> None:
    """Healthy by its own word is not enough: the server's side of it is named when it is missing."""
    server = FakeServer()
    server.keys = {"": keys}
    problem = witness(server).missing()
    assert problem.startswith('could not verify key "orchestrator": the orchestrator says it is healthy, but ')
    assert why in problem


def test_a_prefect_2_client_fails_at_once() -> None:
    """A client before 3 is told apart by the version the gate saw; waiting would not help."""
    server = FakeServer()
    server.keys = {"": {"orchestrator": use(client_version="2.20.26")}}
    with pytest.raises(OpsError, match=r"uses Prefect 2\.20\.26, and a client before 3 cannot talk"):
        witness(server).missing()


def test_our_own_refused_credential_fails_at_once() -> None:
    """When the server does not take the key we ask with, it runs with other keys than the stack."""
    server = FakeServer()
    server.accepted = set()
    with pytest.raises(OpsError, match=r'refused key "verify" .* run with other keys than the stack'):
        witness(server).missing()


@pytest.mark.parametrize(
    ("version", "old"), [("2.20.26", True), ("3.0.0", False), ("10.1", False), ("", False), ("unknown", False)]
)
def test_only_a_known_version_below_3_is_old(version: str, old: bool) -> None:
    """Versions are compared as numbers, and an unreadable one is given the benefit of the doubt."""
    assert is_before_3(version) is old


@pytest.fixture(autouse=True)
def fly(monkeypatch: pytest.MonkeyPatch) -> list[Rollout]:
    """Let Fly say one Rollout after the other, the last one for ever: at first that all machines are up to date."""
    rollouts = [rolled_out(written=SINCE, updated=SINCE + 1)]
    monkeypatch.setattr(
        verify, "rollout", lambda _fly, _app, _version: rollouts.pop(0) if len(rollouts) > 1 else rollouts[0]
    )
    fake = SimpleNamespace(secrets=SimpleNamespace(present_version=lambda _app: 7))
    monkeypatch.setattr(FlyClient, "from_environment", lambda *_given, **_named: fake)
    return rollouts


def rolled_out(*, written: float, updated: float) -> Rollout:
    event = {"type": "update", "status": "replacing", "timestamp": int(updated * 1000)}
    machine = Machine.from_wire({"id": "m1", "name": "web", "state": "started", "events": [event]})
    return Rollout(app="captionacc-orchestrator", written_at=written, machines=[machine])


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ScriptedSession]:
    """Let the health endpoint answer from a script."""

    def script(
        *steps: requests.Response | Exception, forever: requests.Response | Exception | None = None
    ) -> ScriptedSession:
        session = ScriptedSession(*steps, forever=forever)
        made = HealthEndpoint(HEALTH, World.SANDBOX, session)
        monkeypatch.setattr(verify, "HealthEndpoint", lambda _url, _world: made)
        return session

    return script


def flags(timeout: float = 10.0) -> argparse.Namespace:
    return argparse.Namespace(
        mode="cloud", orchestrator_app="captionacc-orchestrator", health_url=HEALTH, timeout=timeout
    )


def says(status: str) -> requests.Response:
    return answer(200, {"components": {"prefect": status}})


def test_health_is_asked_until_it_is_healthy(endpoint: Callable[..., ScriptedSession]) -> None:
    """Trouble while the new machine starts is waited out."""
    endpoint(answer(502), requests.ConnectTimeout(), says("healthy"))
    assert verify.run(flags(), Surroundings(FakeClock()).rt) == {"health": "healthy", "verified": True}


def test_a_wait_does_not_read_like_a_failure(endpoint: Callable[..., ScriptedSession]) -> None:
    """Until the time is up, what is missing is shown as something waited for."""
    endpoint(says("unhealthy"), says("healthy"))
    around = Surroundings(FakeClock())
    verify.run(flags(), around.rt)
    assert 'waiting: its health says "unhealthy"; 10 s left' in around.said
    assert "could not" not in around.said


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (says("unhealthy"), 'its health says "unhealthy"'),
        (says("not_configured"), "it runs without PREFECT_API_URL"),
        (answer(500), "its health endpoint answers: HTTP 500"),
    ],
)
def test_what_health_said_last_is_the_error(
    endpoint: Callable[..., ScriptedSession], step: requests.Response, told: str
) -> None:
    """An orchestrator that does not get healthy in time fails the verb with what it said."""
    endpoint(forever=step)
    with pytest.raises(OpsError, match=f'could not verify orchestrator "{HEALTH}": .*{told}'):
        verify.run(flags(), Surroundings(FakeClock()).rt)


def test_a_page_of_another_shape_is_not_waited_for(endpoint: Callable[..., ScriptedSession]) -> None:
    """Ten seconds of something that is not the agreed JSON end the verb, however long the timeout."""
    endpoint(forever=answer(200, {"status": "up"}))
    clock = FakeClock()
    began = clock.now
    with pytest.raises(OpsError, match=r"without components\.prefect in a JSON object\. Set orchestrator\.healthUrl"):
        verify.run(flags(600.0), Surroundings(clock).rt)
    assert 10 <= clock.now - began < 15


def test_a_page_of_another_shape_in_between_is_waited_out(endpoint: Callable[..., ScriptedSession]) -> None:
    """While the new machine starts, something else may answer for a moment."""
    endpoint(answer(200, {"status": "up"}), answer(200, {"status": "up"}), answer(200, {}), says("healthy"))
    assert verify.run(flags(600.0), Surroundings(FakeClock()).rt)["verified"] is True


def test_a_healthy_orchestrator_with_the_secrets_of_before_is_waited_for(
    endpoint: Callable[..., ScriptedSession], fly: list[Rollout]
) -> None:
    """Healthy was true before the switch as well; with Prefect Cloud nothing else would have told."""
    fly.insert(0, rolled_out(written=SINCE, updated=SINCE - 60))
    endpoint(says("healthy"), says("healthy"))
    around = Surroundings(FakeClock())
    verify.run(flags(), around.rt)
    assert "waiting: it says it is healthy, but the app's secrets were written at 2023-11-14T22:13:20Z" in around.said


def test_a_machine_that_keeps_the_secrets_of_before_is_the_error(
    endpoint: Callable[..., ScriptedSession], fly: list[Rollout]
) -> None:
    """The sentence names the machine and when it was last updated, and says what to do."""
    fly[:] = [rolled_out(written=SINCE, updated=SINCE - 60)]
    endpoint(forever=says("healthy"))
    with pytest.raises(OpsError, match=r"before that: m1 \(web\) at 2023-11-14T22:12:20Z\. .*fly deploy"):
        verify.run(flags(), Surroundings(FakeClock()).rt)


def judged(server: FakeServer, monkeypatch: pytest.MonkeyPatch, **changes: str) -> str:
    """Run the verb against our own server, seen through `server`, and return what people are told."""
    monkeypatch.setattr(verify.KeyUsage, "of", lambda *_given: witness(server))
    given = {"mode": "self-hosted", "client_version": "", "old_client": "refuse", **changes}
    around = Surroundings(FakeClock())
    assert verify.run(argparse.Namespace(**(vars(flags()) | given)), around.rt)["verified"] is True
    return around.said


def seen(version: str | None) -> FakeServer:
    server = FakeServer()
    entry = use(last_accepted=SINCE + 5, client_version=version, client_seen=SINCE + 5)
    server.keys = {"": {"orchestrator": entry}}
    return server


@pytest.mark.parametrize(
    ("version", "stated", "told"),
    [
        ("3.6.13", "", r'uses Prefect 3\.6\.13: .* events and assets are lost.*clientVersion: "3\.6\.13"'),
        ("3.4.25", "3.8.8", r'uses Prefect 3\.4\.25: .* serve\(\) and workers end at start.*clientVersion: "3\.4\.25"'),
        ("3.4.9", "", r"uses Prefect 3\.4\.9: .*Move it to prefect>=3\.6\.14, or to 3\.4\.10"),
        ("3.4.9", "3.4.25", r"uses Prefect 3\.4\.9: "),
    ],
)
def test_a_client_that_loses_something_fails(
    endpoint: Callable[..., ScriptedSession], monkeypatch: pytest.MonkeyPatch, version: str, stated: str, told: str
) -> None:
    """Healthy and seen is not enough: version, loss and what to set are named."""
    endpoint(says("healthy"))
    with pytest.raises(OpsError, match=told):
        judged(seen(version), monkeypatch, client_version=stated)


@pytest.mark.parametrize(
    ("version", "stated"), [("3.6.14", ""), ("3.4.25", "3.4.25"), ("3.4.10", "3.6.13"), ("3.8.8", "3.4.25"), (None, "")]
)
def test_a_client_that_loses_nothing_passes(
    endpoint: Callable[..., ScriptedSession], monkeypatch: pytest.MonkeyPatch, version: str | None, stated: str
) -> None:
    """New enough, or given the header because its version is stated, or unknown."""
    endpoint(says("healthy"))
    assert "warning" not in judged(seen(version), monkeypatch, client_version=stated)


def test_the_client_of_before_the_redeploy_is_not_blamed(
    endpoint: Callable[..., ScriptedSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an upgrade the server may have seen only a health check since, and still know the old version."""
    endpoint(says("healthy"))
    server = seen("3.4.25")
    server.keys[""]["orchestrator"]["client_seen"] = SINCE - 5
    assert judged(server, monkeypatch)


def test_an_accepted_loss_is_a_warning(
    endpoint: Callable[..., ScriptedSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With orchestrator.allowOldClient the same is said and nothing fails."""
    endpoint(says("healthy"))
    said = judged(seen("3.4.25"), monkeypatch, old_client="warn")
    assert "warning: it uses Prefect 3.4.25: flow runs complete, but its task runs" in said


def test_a_use_of_the_key_before_the_machine_was_updated_proves_nothing() -> None:
    """After the redeploy began the old machine may still have used the same key."""
    server = FakeServer()
    server.keys = {"": {"orchestrator": use(last_accepted=SINCE + 5)}}
    assert witness(server).missing(SINCE + 5) == ""
    assert "accepted its last request before" in witness(server).missing(SINCE + 6)
