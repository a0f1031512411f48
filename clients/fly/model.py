"""What the API says about machines, as data; unknown fields of replies are ignored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clients.shapes import identity, record, records, whole, whole_object

OWNER_KEY = "prefect_fly_owner"
NAME_KEY = "prefect_fly_name"
SUCCESSOR_KEY = "prefect_fly_successor"
GROUP_KEY = "fly_process_group"
PLATFORM_KEY = "fly_platform_version"

# Not "restarting": a program that crashes at once is in that state for ever, and only an update ends it.
TRANSIENT_STATES = frozenset({"creating", "starting", "stopping", "suspending", "updating", "replacing"})
_MIRRORED = "bg_deployments_compat-"
GONE_STATES = frozenset({"destroyed", "destroying", "replaced", "migrated"})


@dataclass(frozen=True, kw_only=True)
class ImageRef:
    """The image that a machine really runs."""

    registry: str
    repository: str
    tag: str
    digest: str

    @classmethod
    def from_wire(cls, body: object) -> ImageRef:
        """Read a reply."""
        entry = record(body)
        return cls(**{key: str(entry.get(key) or "") for key in ("registry", "repository", "tag", "digest")})


@dataclass(frozen=True, kw_only=True)
class Check:
    """A health check. `status` is passing, warning or critical."""

    name: str
    status: str
    output: str

    @classmethod
    def from_wire(cls, body: object) -> Check:
        """Read a reply."""
        entry = record(body)
        return cls(**{key: str(entry.get(key) or "") for key in ("name", "status", "output")})


@dataclass(frozen=True, kw_only=True)
class Exit:
    """How a machine's program ended."""

    exit_code: int
    oom_killed: bool
    requested_stop: bool


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened to a machine; `timestamp` is unix milliseconds."""

    type: str
    status: str
    timestamp: int
    exit: Exit | None = None

    @classmethod
    def from_wire(cls, body: object) -> Event:
        """Read a reply; the exit lies below `request`, which is not in the published description."""
        entry = record(body)
        request = record(entry.get("request"))
        found = record(record(request.get("MonitorEvent")).get("exit_event")) or record(request.get("exit_event"))
        ended = None
        if found:
            ended = Exit(
                exit_code=whole(found.get("exit_code")),
                oom_killed=bool(found.get("oom_killed")),
                requested_stop=bool(found.get("requested_stop")),
            )
        return cls(
            type=str(entry.get("type") or ""),
            status=str(entry.get("status") or ""),
            timestamp=whole(entry.get("timestamp")),
            exit=ended,
        )


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine. `instance_id` names this version of it; `host_status` is ok, unknown or unreachable."""

    id: str
    name: str
    state: str
    region: str
    instance_id: str
    private_ip: str
    host_status: str
    created_at: str
    updated_at: str
    cordoned: bool
    image: ImageRef
    config: dict[str, Any] = field(repr=False)
    checks: tuple[Check, ...] = ()
    events: tuple[Event, ...] = ()

    @classmethod
    def from_wire(cls, body: object) -> Machine:
        """Read a reply.

        Raises:
            ShapeError: it is no machine.
        """
        entry = whole_object(body)
        texts = (
            "name",
            "state",
            "region",
            "instance_id",
            "private_ip",
            "host_status",
            "created_at",
            "updated_at",
        )
        return cls(
            id=identity(entry),
            **{key: str(entry.get(key) or "") for key in texts},
            cordoned=bool(entry.get("cordoned")),
            image=ImageRef.from_wire(entry.get("image_ref")),
            config=record(entry.get("config")) or record(entry.get("incomplete_config")),
            checks=tuple(Check.from_wire(check) for check in records(entry.get("checks"))),
            events=tuple(Event.from_wire(event) for event in records(entry.get("events"))),
        )

    @property
    def destroyed(self) -> bool:
        """Tell whether the machine is gone or on its way."""
        return self.state in GONE_STATES

    @property
    def metadata(self) -> Mapping[str, str]:
        """The config's metadata."""
        return {key: value for key, value in record(self.config.get("metadata")).items() if isinstance(value, str)}

    @property
    def owner(self) -> str:
        """The stack that made it, as `owner_of` spells it; empty when no stack of this project did."""
        return self.metadata.get(OWNER_KEY, "")

    @property
    def label(self) -> str:
        """The name that the stack gave it; the machine's own name where the stack gave none."""
        return self.metadata.get(NAME_KEY) or self.name

    @property
    def own_checks(self) -> tuple[Check, ...]:
        """The checks that the config asks for, without those that Fly mirrors for its own deployments."""
        return tuple(check for check in self.checks if not check.name.startswith(_MIRRORED))

    @property
    def healthy(self) -> bool:
        """Tell whether there are checks and all of them pass: an empty list is not passing."""
        return bool(self.own_checks) and all(check.status == "passing" for check in self.own_checks)

    def last_exit(self) -> Exit | None:
        """Return how the program last ended, None when it has not."""
        exits = [event for event in self.events if event.type == "exit" and event.exit]
        return max(exits, key=lambda event: event.timestamp).exit if exits else None


@dataclass(frozen=True, kw_only=True)
class MachineRequest:
    """The body of create and update.

    Attributes:
        config: the whole machine config: there is no partial update.
        min_secrets_version: start only once this version of the app's secrets is known to the host; 0 for none.
        skip_launch: leave the machine stopped.
        skip_secrets: give it none of the app's secrets.
    """

    name: str
    region: str
    config: Mapping[str, Any] = field(repr=False)
    min_secrets_version: int = 0
    skip_launch: bool = False
    skip_secrets: bool = False

    def to_wire(self) -> dict[str, Any]:
        """Return the body; what is empty is left out."""
        body: dict[str, Any] = {"name": self.name, "region": self.region, "config": dict(self.config)}
        if self.min_secrets_version:
            body["min_secrets_version"] = self.min_secrets_version
        if self.skip_launch:
            body["skip_launch"] = True
        if self.skip_secrets:
            body["skip_secrets"] = True
        return body
