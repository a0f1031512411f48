from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from clients.fly.model import Machine
from clients.fly.secrets import Secret
from ops.outdated_machines import Rollout, rollout, written_at

WRITTEN = 1_700_000_000.0
VERSION = 7
V2 = {"fly_platform_version": "v2"}


def rfc3339(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


def secret(name: str, updated: float = WRITTEN) -> Secret:
    return Secret(name=name, digest="d", updated_at=rfc3339(updated))


def machine(name: str, events: dict[str, float], **more: Any) -> Machine:
    """Return a machine that was just touched, with events of these kinds at these moments."""
    told = [{"type": kind, "status": "ok", "timestamp": int(at * 1000)} for kind, at in events.items()]
    body = {
        "id": name,
        "name": name,
        "state": "started",
        "updated_at": rfc3339(WRITTEN + 100),
        "config": {"metadata": V2},
    }
    return Machine.from_wire({**body, "events": told, **more})


class FakeFly:
    """Fly, with one app."""

    def __init__(self, secrets: list[Secret], machines: list[Machine]) -> None:
        self._secrets, self._machines = secrets, machines

    @property
    def secrets(self) -> Listing:
        """Its secrets."""
        return Listing(self._secrets)

    @property
    def machines(self) -> Listing:
        """Its machines."""
        return Listing(self._machines)


class Listing:
    """Something that can be listed."""

    def __init__(self, entries: Sequence[object]) -> None:
        self._entries = entries

    def list(self, _app: str, *, min_version: int = VERSION) -> Sequence[object]:
        """Return all, as of the version that was asked for."""
        assert min_version == VERSION
        return self._entries


def seen(*machines: Machine, secrets: list[Secret] | None = None, deployed_at: float = 0.0) -> Rollout:
    fly = FakeFly([secret("PREFECT_API_URL")] if secrets is None else secrets, list(machines))
    return rollout(fly, "shop", VERSION, deployed_at=deployed_at)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["launch", "update"])
def test_a_machine_updated_after_the_write_has_the_secrets(kind: str) -> None:
    """A new machine and an updated one alike."""
    assert seen(machine("m", {kind: WRITTEN + 1, "start": WRITTEN + 2})).problem() == ""


def test_a_restart_brings_no_secrets() -> None:
    """Events and `updated_at` of later starts and stops do not make up for an update."""
    found = seen(machine("m", {"update": WRITTEN - 60, "start": WRITTEN + 50, "restart": WRITTEN + 40}))
    assert [each.id for each in found.outdated] == ["m"]
    assert "m (m) at 2023-11-14T22:12:20Z" in found.problem()


def test_one_machine_of_several_is_enough_to_fail() -> None:
    """A deploy of some machines leaves work to those that use the old server."""
    found = seen(machine("old", {"update": WRITTEN - 60}), machine("new", {"update": WRITTEN + 1}))
    assert [each.id for each in found.outdated] == ["old"]
    assert found.running_since == WRITTEN - 60


def test_an_update_that_has_no_event_any_more_is_told_by_the_last_change() -> None:
    """Fly keeps the newest events only."""
    assert seen(machine("m", {"exit": WRITTEN + 50})).problem() == ""


@pytest.mark.parametrize(
    "config",
    [{"metadata": V2, "auto_destroy": True}, {"metadata": {"fly_process_group": "by-hand"}}],
)
def test_machines_that_no_deploy_updates_do_not_count(config: dict[str, Any]) -> None:
    """A console, or what somebody started without flyctl's mark."""
    deployed, other = machine("m", {"update": WRITTEN + 1}), machine("x", {"update": WRITTEN - 60}, config=config)
    assert seen(deployed, other).problem() == ""


def test_without_flyctls_mark_on_any_machine_all_count() -> None:
    """An orchestrator that is deployed through the API alone."""
    found = seen(machine("m", {"update": WRITTEN - 60}, config={}))
    assert [each.id for each in found.outdated] == ["m"]


def test_the_clocks_of_two_hosts_may_differ_a_little() -> None:
    """A machine updated right after the write may say a moment before."""
    assert seen(machine("m", {"update": WRITTEN - 1.5})).problem() == ""


def test_a_deploy_must_have_updated_the_machine_itself() -> None:
    """A removed secret leaves no time behind, so what the deploy did is looked at."""
    updated = machine("m", {"update": WRITTEN + 1})
    assert seen(updated, deployed_at=WRITTEN + 60).problem().startswith("it began at 2023-11-14T22:14:20Z, and these")


def test_no_secrets_and_no_machines_are_problems_of_their_own() -> None:
    """Neither is taken for an orchestrator that is up to date."""
    assert (
        seen(machine("m", {"update": WRITTEN}), secrets=[secret("OTHER")]).problem().startswith('app "shop" holds none')
    )
    assert seen().problem() == 'app "shop" has no machine that could use them'


def test_the_newest_of_our_secrets_counts() -> None:
    """Our marker is written along; names of others do not count, nor does a time that cannot be read."""
    ours = [secret("PREFECT_API_KEY", WRITTEN - 9), secret("PREFECT_FLY_OWNER_0123456789AB", WRITTEN - 5)]
    unreadable = Secret(name="PREFECT_API_URL", digest="d", updated_at="yesterday")
    assert written_at([*ours, secret("SENTRY_DSN"), unreadable]) == WRITTEN - 5
