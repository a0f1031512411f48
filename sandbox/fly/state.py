"""Everything the emulated Fly remembers, and the questions its routes ask of it."""

from __future__ import annotations

import hashlib
import secrets as randomness
from dataclasses import asdict, dataclass, field
from typing import Any

from sandbox.core.clock import Clock
from sandbox.fly.certificates import active, leads_to
from sandbox.fly.errors import BadRequest, Forbidden, NotFound
from sandbox.fly.models import (
    Address,
    App,
    Machine,
    Secret,
    SecretsVersion,
    Token,
    app_from_json,
    new_machine_id,
    new_ulid,
    to_json,
)

SECRETS_LAG = 2.0  # seconds until secrets reach machines that do not ask for their version
_HISTORY_KEPT = 50


@dataclass(kw_only=True)
class FlyOptions:
    """How strict the emulated Fly is.

    Attributes:
        org: the organization the main token covers.
        exact_rate_limits: one call a second per action and app or machine (burst 3), as documented; else ten times it.
        secrets_lag: seconds until new secrets reach machines created without `min_secrets_version`, and lists without
            `min_version`.
        delete_seconds: seconds from the moment an app's machines have ended until the deleted app is gone.
        name_taken_status: what creating an app answers for a name in use: 422 with `name_taken`, or 409 in words only.
        mirrored_checks: whether machines also show Fly's copies (`bg_deployments_compat-…`) of their services' checks.
        machine_limit: machines an organization may have.
        resolve_delay: seconds from an app's first address and started machine until its name resolves at the edge.
        boot_seconds: seconds a machine takes to start, on top of its program.
    """

    org: str = "captionacc"
    exact_rate_limits: bool = False
    secrets_lag: float = SECRETS_LAG
    delete_seconds: float = 1.0
    name_taken_status: int = 422
    mirrored_checks: bool = False
    machine_limit: int = 100
    resolve_delay: float = 1.0
    boot_seconds: float = 0.2


@dataclass
class FlyState:
    """Organizations' apps and tokens.

    Args:
        clock: the sandbox's.
        options: how strict to be.
    """

    clock: Clock
    options: FlyOptions = field(default_factory=FlyOptions)
    apps: dict[str, App] = field(default_factory=dict)
    tokens: list[Token] = field(default_factory=list)
    dns: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    salt: str = field(default_factory=lambda: randomness.token_hex(16), repr=False)

    def dump(self) -> dict[str, Any]:
        """Return it as JSON for the state file."""
        return {
            "salt": self.salt,
            "apps": {name: to_json(app) for name, app in self.apps.items()},
            "tokens": [asdict(token) for token in self.tokens],
            "dns": self.dns,
        }

    def load(self, saved: dict[str, Any]) -> None:
        """Take over what was saved."""
        self.salt = saved["salt"]
        self.apps = {name: app_from_json(data) for name, data in saved["apps"].items()}
        self.tokens = [Token(**data) for data in saved["tokens"]]
        self.dns = saved.get("dns", {})

    # Who may see what

    def tokens_of(self, authorization: str) -> list[Token]:
        """Return the tokens in an Authorization header that are known here."""
        scheme, _, rest = authorization.partition(" ")
        if scheme.lower() not in {"bearer", "flyv1"}:
            return []
        given = {part.strip() for part in rest.split(",")}
        return [token for token in self.tokens if token.value in given]

    def app(self, tokens: list[Token], name: str) -> App:
        """Return an app that these tokens cover.

        Raises:
            NotFound: there is none of this name anywhere.
            Forbidden: there is, and it is none of theirs.
        """
        app = self.apps.get(name)
        if app is None:
            raise NotFound("app not found")
        if not any(token.covers(app.org, app.name) for token in tokens):
            raise Forbidden("unauthorized: token does not have access to this app")
        return app

    def machine(self, app: App, machine_id: str) -> Machine:
        """Return a machine, destroyed ones included: the API still shows those for a while.

        Raises:
            NotFound: the app has had no such machine.
        """
        machine = app.machines.get(machine_id)
        if machine is None:
            raise NotFound("machine not found")
        return machine

    def machine_anywhere(self, machine_id: str) -> Machine | None:
        """Return a machine of any app."""
        return next((app.machines[machine_id] for app in self.apps.values() if machine_id in app.machines), None)

    # Making things

    def add_app(self, name: str, org: str, network: str = "default") -> App:
        """Make an app without asking anybody."""
        app = App(
            id=randomness.token_hex(8),
            name=name,
            org=org,
            numeric_id=randomness.randbelow(9_000_000) + 1_000_000,
            created_at=self.clock.time(),
            network=network,
        )
        self.apps[name] = app
        return app

    def add_token(self, org: str, apps: list[str] | None = None, name: str = "sandbox") -> Token:
        """Mint a token."""
        value = f"sandbox_{randomness.token_urlsafe(24)}"
        token = Token(value=value, org=org, apps=apps, name=name, created_at=self.clock.time())
        self.tokens.append(token)
        return token

    def add_address(self, app: App, kind: str) -> Address:
        """Assign an address; the shared one is the same for every app of the organization."""
        number = randomness.randbelow(200) + 20
        if kind == "shared_v4":
            ip = "66.241.125.7"
        elif kind == "v4":
            ip = f"149.248.{number}.{randomness.randbelow(250) + 1}"
        else:
            tail = ":".join(f"{randomness.randbelow(65536):x}" for _ in range(3))
            ip = f"{'fdaa:0' if kind == 'private_v6' else '2a09:8280'}:1::{tail}"
        address = Address(ip=ip, kind=kind, created_at=self.clock.time())
        app.addresses.append(address)
        return address

    def set_dns(self, name: str, kind: str, values: list[str]) -> None:
        """Write the records of one name and type; no values remove them."""
        self.dns.setdefault(name, {})[kind] = list(values)

    def app_of(self, hostname: str) -> App | None:
        """Return the app that a name of one's own leads to: it has an issued certificate, and the DNS points to it."""
        now = self.clock.time()
        for app in self.apps.values():
            certificate = app.certificates.get(hostname)
            if certificate and active(certificate, now) and leads_to(app, self.dns, hostname):
                return app
        return None

    def add_release(self, app: App, image: str, definition: Any, **given: Any) -> dict[str, Any]:
        """Note that a release of an app has begun, and return it: the newest stands first.

        Args:
            app: what is released.
            image: its reference.
            definition: the app's fly.toml as JSON; flyctl reads it back in later commands.
            given: `user` and `strategy`.
        """
        release = {
            "id": new_ulid(),
            "version": len(app.releases) + 1,
            "stable": True,
            "in_progress": True,
            "status": "pending",
            "strategy": given.get("strategy") or "ROLLING",
            "user": given.get("user") or "sandbox@example.com",
            "created_at": self.clock.rfc3339(),
            "image_ref": image,
            "definition": definition,
        }
        app.releases.insert(0, release)
        return release

    @staticmethod
    def finish_release(release: dict[str, Any], status: str) -> None:
        """Note how a release went: complete, failed, or still pending or running."""
        release["status"] = status
        release["in_progress"] = status in {"pending", "running"}

    def set_secrets(self, app: App, values: dict[str, str | None]) -> int:
        """Set and (for None) remove secrets and return the app's new version, even when nothing has changed."""
        now = self.clock.time()
        for name, value in values.items():
            if value is None:
                app.secrets.pop(name, None)
                continue
            before = app.secrets.get(name)
            created = before.created_at if before else now
            app.secrets[name] = Secret(name, value, self._digest(app, name, value), created, now)
        app.secrets_version += 1
        app.secrets_history.append(SecretsVersion(app.secrets_version, now, dict(app.secrets)))
        del app.secrets_history[:-_HISTORY_KEPT]
        return app.secrets_version

    def secrets_for_machine(self, app: App, minimum: int | None) -> SecretsVersion:
        """Return the secrets a machine made now gets: the newest old enough to have travelled, or asked for by version.

        Raises:
            BadRequest: a version is asked for that does not exist yet.
        """
        if minimum is not None and minimum > app.secrets_version:
            raise BadRequest(f"min_secrets_version {minimum} is not available, the latest is {app.secrets_version}")
        return self.visible_secrets(app, minimum)

    def visible_secrets(self, app: App, minimum: int | None) -> SecretsVersion:
        """Return the newest version that has travelled everywhere, or a later one that is asked for."""
        ripe = self.clock.time() - self.options.secrets_lag
        visible = SecretsVersion(0, 0.0)
        for version in app.secrets_history:
            if version.written_at <= ripe or (minimum is not None and version.version <= minimum):
                visible = version
        return visible

    def new_machine_id(self) -> str:
        """Return an id no machine here has."""
        while self.machine_anywhere(machine_id := new_machine_id()) is not None:
            pass
        return machine_id

    def _digest(self, app: App, name: str, value: str) -> str:
        keyed = hashlib.blake2b(key=self.salt.encode(), digest_size=8)
        keyed.update("\0".join((app.id, name, value)).encode())
        return keyed.hexdigest()
