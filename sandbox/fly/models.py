"""What the emulated Fly keeps: organizations' apps with their secrets, addresses and machines.

Plain data; behaviour is in the modules that use it. Times are unix seconds unless a name says otherwise.
"""

from __future__ import annotations

import json
import secrets as randomness
from dataclasses import dataclass, field, replace
from typing import Any

TRANSIENT_STATES = frozenset({"created", "starting", "stopping", "restarting", "suspending", "destroying", "replacing"})
SETTLED_STATES = frozenset({"started", "stopped", "suspended", "failed", "destroyed"})
EVENTS_KEPT = 30
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_machine_id() -> str:
    """Return an id shaped like Fly's: 14 hexadecimal digits."""
    return randomness.token_hex(7)


def new_ulid() -> str:
    """Return an id shaped like Fly's instance and event ids: 26 characters beginning with 01."""
    return "01" + "".join(randomness.choice(_CROCKFORD) for _ in range(24))


@dataclass
class Token:
    """An access token: of a whole organization, or of single apps of it when `apps` is given."""

    value: str = field(repr=False)
    org: str
    apps: list[str] | None = None
    token_id: str = field(default_factory=new_ulid)
    user: str = "sandbox@example.com"
    name: str = "sandbox"
    created_at: float = 0.0

    def covers(self, org: str, app: str) -> bool:
        """Tell whether it may act on this app."""
        return self.org == org and (self.apps is None or app in self.apps)


@dataclass
class Secret:
    """One app secret; its value never leaves the sandbox but into machines."""

    name: str
    value: str = field(repr=False)
    digest: str
    created_at: float
    updated_at: float


@dataclass
class SecretsVersion:
    """All secrets of an app as of one version."""

    version: int
    written_at: float
    secrets: dict[str, Secret] = field(default_factory=dict, repr=False)

    @property
    def values(self) -> dict[str, str]:
        """Return what machines get."""
        return {name: secret.value for name, secret in self.secrets.items()}


@dataclass
class Address:
    """One IP assignment; the address is its key."""

    ip: str
    kind: str
    created_at: float
    region: str = "global"

    @property
    def shared(self) -> bool:
        """Tell whether other apps have the same address."""
        return self.kind == "shared_v4"


@dataclass
class Certificate:
    """A name of one's own on an app. `issued_at` lies ahead while the certificate is being issued."""

    hostname: str
    created_at: float
    acme_requested: bool = True
    issued_at: float | None = None


@dataclass
class Event:
    """Something that happened to a machine."""

    type: str
    status: str
    source: str
    timestamp_ms: int
    request: dict[str, Any] | None = None
    id: str = field(default_factory=new_ulid)


@dataclass
class Lease:
    """The right to change a machine until `expires_at`."""

    nonce: str
    expires_at: float
    owner: str
    description: str
    version: str


@dataclass
class Check:
    """The last result of one health check."""

    name: str
    status: str
    output: str
    updated_at: float
    of_service: bool = False


@dataclass
class Version:
    """One configuration a machine has had."""

    instance_id: str
    config: dict[str, Any]


@dataclass
class Machine:
    """One machine.

    Attributes:
        config: as posted, normalised the way the API does.
        secrets: the values it was created or last updated with; a restart does not renew them.
        secrets_version: the app's version these are from.
        should_run: whether the platform wants its program running (survives a restart of the sandbox).
        restart_count: program ends since its last deliberate start.
    """

    id: str
    app: str
    name: str
    region: str
    config: dict[str, Any]
    private_ip: str
    created_at: float
    updated_at: float
    instance_id: str = field(default_factory=new_ulid)
    state: str = "created"
    image_digest: str = ""
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    secrets_version: int = 0
    events: list[Event] = field(default_factory=list)
    versions: list[Version] = field(default_factory=list)
    checks: dict[str, Check] = field(default_factory=dict)
    lease: Lease | None = None
    cordoned: bool = False
    host_status: str = "ok"
    should_run: bool = False
    restart_count: int = 0

    @property
    def destroyed(self) -> bool:
        """Tell whether it is gone for good."""
        return self.state == "destroyed"

    @property
    def services(self) -> list[dict[str, Any]]:
        """Return its configured services."""
        return list(self.config.get("services") or [])


@dataclass
class App:
    """One app."""

    id: str
    name: str
    org: str
    numeric_id: int
    created_at: float
    network: str = "default"
    suspended: bool = False
    deleting: bool = False
    secrets_version: int = 0
    secrets: dict[str, Secret] = field(default_factory=dict)
    secrets_history: list[SecretsVersion] = field(default_factory=list)
    addresses: list[Address] = field(default_factory=list)
    certificates: dict[str, Certificate] = field(default_factory=dict)
    machines: dict[str, Machine] = field(default_factory=dict)
    releases: list[dict[str, Any]] = field(default_factory=list)

    @property
    def live_machines(self) -> list[Machine]:
        """Return the machines that are not destroyed, oldest first."""
        return [machine for machine in self.machines.values() if not machine.destroyed]


def to_json(value: Any) -> Any:
    """Return a model as JSON for the state file."""
    return json.loads(json.dumps(value, default=vars))


def app_from_json(data: dict[str, Any]) -> App:
    """Rebuild an app from the state file."""
    nested = dict(data)
    nested["secrets"] = {name: Secret(**item) for name, item in data["secrets"].items()}
    nested["secrets_history"] = [_version_from_json(item, nested["secrets"]) for item in data["secrets_history"]]
    nested["addresses"] = [Address(**item) for item in data["addresses"]]
    # A state that an older sandbox wrote has none.
    named = data.get("certificates", {})
    nested["certificates"] = {name: Certificate(**item) for name, item in named.items()}
    nested["machines"] = {key: _machine_from_json(item) for key, item in data["machines"].items()}
    return App(**nested)


def _version_from_json(data: dict[str, Any], present: dict[str, Secret]) -> SecretsVersion:
    """Rebuild a version; one that an older sandbox wrote has values alone, with the digests and times of today."""
    if "secrets" in data:
        secrets = {name: Secret(**item) for name, item in data["secrets"].items()}
    else:
        known = {name: present.get(name) or Secret(name, "", "", 0.0, 0.0) for name in data["values"]}
        secrets = {name: replace(known[name], value=value) for name, value in data["values"].items()}
    return SecretsVersion(data["version"], data["written_at"], secrets)


def _machine_from_json(data: dict[str, Any]) -> Machine:
    nested = dict(data)
    nested["events"] = [Event(**item) for item in data["events"]]
    nested["versions"] = [Version(**item) for item in data["versions"]]
    nested["checks"] = {key: Check(**item) for key, item in data["checks"].items()}
    nested["lease"] = Lease(**data["lease"]) if data["lease"] else None
    return Machine(**nested)
