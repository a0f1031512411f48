"""Which machines of the orchestrator still run with the secrets of before.

A machine gets the app's secrets when it is made or updated, and keeps them until then. So a machine that was last
updated before our secrets were written has other ones, whatever its health and its workflow say.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from clients.fly import FlyClient
from clients.fly.model import PLATFORM_KEY, Machine
from clients.fly.operations.unknown_machines import lasting
from clients.fly.secrets import Secret
from clients.names import OWNER_PREFIX, WIRED

# Fly's API and its hosts each have a clock of their own.
_CLOCKS_DIFFER_BY = 2.0


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """How far the app's secrets have come; times are unix seconds by Fly's clocks.

    Attributes:
        app: the orchestrator's app.
        written_at: when our secrets were last written, 0 when the app has none.
        machines: those that a deploy brings up to date.
        deployed_at: when the deploy began that has to have updated them, 0 when it is not known.
    """

    app: str
    written_at: float
    machines: Sequence[Machine]
    deployed_at: float = 0.0

    @property
    def outdated(self) -> list[Machine]:
        """The machines that were last updated before the secrets were written, or before the deploy began."""
        since = max(self.written_at, self.deployed_at)
        return [m for m in self.machines if updated_at(m) + _CLOCKS_DIFFER_BY < since]

    @property
    def running_since(self) -> float:
        """When the first of the started machines was updated, 0 when none is started."""
        return min((updated_at(m) for m in self.machines if m.state == "started"), default=0.0)

    def problem(self) -> str:
        """Return what is missing, for the middle of a sentence; empty when every machine has the secrets."""
        if not self.written_at:
            return f'app "{self.app}" holds none of {", ".join(WIRED)}'
        if not self.machines:
            return f'app "{self.app}" has no machine that could use them'
        if not self.outdated:
            return ""
        named = ", ".join(f"{m.id} ({m.name}) at {_at(updated_at(m))}" for m in self.outdated)
        return f"{self._event()}, and these machines were last updated before that: {named}"

    @property
    def advice(self) -> str:
        """What a person does about it."""
        return (
            f'See that the deploy workflow runs "fly deploy -a {self.app}" for all of them, or state '
            "orchestrator.redeploy: machines; remove machines that nothing deploys (fly machine destroy). Then run "
            '"pulumi up" again.'
        )

    def _event(self) -> str:
        if self.deployed_at > self.written_at:
            return f"it began at {_at(self.deployed_at)}"
        return f"the app's secrets were written at {_at(self.written_at)}"


def rollout(fly: FlyClient, app: str, secrets_version: int, *, deployed_at: float = 0.0) -> Rollout:
    """Ask Fly how far the app's secrets have come.

    Args:
        fly: Fly.
        app: the orchestrator's app.
        secrets_version: that the list of secrets must include (`Secrets.present_version`); else it may lag behind.
        deployed_at: unix seconds; a machine counts only if it was updated after that as well.

    Raises:
        FlyError: Fly does not say.
    """
    # Secrets first: what is written after that look belongs to the next one.
    written = written_at(fly.secrets.list(app, min_version=secrets_version))
    machines = _deployed(fly.machines.list(app))
    return Rollout(app=app, written_at=written, machines=machines, deployed_at=deployed_at)


def written_at(secrets: Iterable[Secret]) -> float:
    """Return when our secrets were last written (unix seconds), 0 without any."""
    ours = (s for s in secrets if s.name in WIRED or s.name.startswith(OWNER_PREFIX))
    return max((_unix(secret.updated_at) for secret in ours), default=0.0)


def updated_at(machine: Machine) -> float:
    """Return when the machine got its present config and secrets (unix seconds).

    Its `updated_at` moves with every change of state, so it counts only when Fly keeps no event of an update any more.
    """
    given = [e.timestamp for e in machine.events if e.type in {"launch", "update"} and e.status != "failed"]
    return max(given) / 1000 if given else _unix(machine.updated_at)


def _deployed(machines: Iterable[Machine]) -> list[Machine]:
    """Return the machines that flyctl deploys; all that are there to stay when it deploys none."""
    found = lasting(machines)
    return [m for m in found if m.metadata.get(PLATFORM_KEY) == "v2"] or found


def _unix(timestamp: str) -> float:
    try:
        return datetime.fromisoformat(timestamp).timestamp() if timestamp else 0.0
    except ValueError:
        return 0.0


def _at(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
