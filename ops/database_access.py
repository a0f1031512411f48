"""How this machine reaches the database of a stack: its URL from DATABASE_URL or the stack's own secret."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field

from clients.endpoints import World, is_loopback
from ops.errors import OpsError
from ops.relay import Relay
from ops.runtime import Runtime
from ops.stack_settings import config_of, draft_of

VARIABLE = "DATABASE_URL"


@dataclass(frozen=True, kw_only=True)
class DatabaseAccess:
    """Where the database is, and in which schema Prefect's tables are.

    Attributes:
        ca: PEM, empty without one.
        relay: leads there, None where this machine itself does.
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    name: str
    tls: bool
    ca: str = field(repr=False)
    schema: str
    relay: Relay | None = field(default=None, repr=False)

    @property
    def place(self) -> str:
        """The database for people."""
        return f'database "{self.name}" at {self.host}:{self.port}'


def database_of(stack: str, rt: Runtime) -> DatabaseAccess:
    """Return how to reach the stack's database.

    Raises:
        OpsError: its URL cannot be had or used, or is of the other world.
    """
    from settings.database import DatabaseUrlError, normalise  # noqa: PLC0415 - the rollback must not need pydantic
    from settings.groups import DatabaseSettings  # noqa: PLC0415

    config = config_of(stack, "See docs/toolchain.md for a shell in which it works.")
    database = draft_of(stack, config).get(DatabaseSettings)
    raw = rt.environ.get(VARIABLE) or _secret(stack, "databaseUrl")
    ca = _secret(stack, "databaseCa") if any(key.endswith(":databaseCa") for key in config) else ""
    try:
        url = normalise(raw, require_tls=database.require_tls, has_ca=bool(ca))
    except DatabaseUrlError as error:
        raise OpsError(f'could not use the database URL of stack "{stack}": {error}. Set {VARIABLE} to it.') from error
    if is_loopback(f"tcp://{url.host}") is not (rt.world is World.SANDBOX):
        where = "is not on this machine" if rt.world is World.SANDBOX else "is on this machine"
        raise OpsError(
            f'could not use the database URL of stack "{stack}": the stack states endpoints: {rt.world.value}, and '
            f"{url.host} {where}. Unset {VARIABLE}, or set it to the right one."
        )
    return DatabaseAccess(
        host=url.host.strip("[]"),
        port=url.port,
        user=url.user,
        password=url.password,
        name=url.name,
        tls=url.tls,
        ca=ca,
        schema=database.schema_name,
    )


def _secret(stack: str, name: str) -> str:
    """Ask Pulumi for a secret, whose value is written to our pipe alone."""
    command = ["pulumi", "config", "get", name, "--stack", stack]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL
        )
        said = done.stderr.strip().splitlines()[-1:] if done.returncode else []
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OpsError(
            f'could not read secret "{name}" of stack "{stack}": pulumi did not run ({type(error).__name__}). Set '
            f"{VARIABLE} to the database's connection string."
        ) from error
    if done.returncode:
        raise OpsError(
            f'could not read secret "{name}" of stack "{stack}": {"".join(said) or "no reason given"}. Set '
            f"PULUMI_CONFIG_PASSPHRASE, or {VARIABLE} to the database's connection string."
        )
    return done.stdout.strip()
