"""The groups of settings a stack file may hold: names, defaults, limits and one sentence each.

The configuration page and the JSON schema are made from these models (`python -m settings`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue, field_validator

from settings import expiry
from settings.fly import FlySettings
from settings.group import LOGIN, NAME, REGION, URL, Group, setting
from settings.server_groups import AlertSettings, ConcurrencyLimitSettings, WorkPoolSettings


class VmSettings(Group):
    """The server's machines."""

    cpu_kind: Literal["shared", "performance"] = setting("shared", doc="kind of CPU")
    cpus: int = setting(1, doc="CPUs of each machine: 1, 2, 4, 6 or 8; performance up to 16", ge=1, le=16)
    memory_mb: int = setting(
        256,
        doc="memory of each machine, MB: 256 to 2048 for each shared CPU, 2048 to 8192 for each performance CPU",
        ge=256,
        le=131072,
        multiple_of=256,
    )
    swap_mb: int = setting(512, doc="swap of each machine, MB; 256 MB of memory cannot do without", ge=0, le=8192)
    replicas: int = setting(1, doc="API machines; more than one needs services.separate and redisUrl", ge=1, le=5)
    regions: tuple[Annotated[str, Field(pattern=REGION)], ...] = setting(
        (), doc="regions of the replicas in turn; empty: fly.region", max_length=5
    )
    strategy: Literal["bluegreen", "rolling"] | None = setting(
        None,
        doc="how a machine is updated: bluegreen makes the new one beside it, rolling stops it; unset: bluegreen where "
        "the database has connections for one more process",
    )


class ImageSettings(Group):
    """The server's image: built from docker/prefect, or one built from it elsewhere."""

    build: bool = setting(True, doc="build docker/prefect and push it to the app's registry")
    reference: str | None = setting(
        None, doc="deploy this image instead, by digest", pattern=r"^[^\s@]+@sha256:[0-9a-f]{64}$"
    )
    base: str | None = setting(None, doc="another base image for the build")
    build_network: str | None = setting(None, doc="network mode of the build, where the builder's own has no way out")
    registry: str = setting("registry.fly.io", doc="registry that the build is pushed to", min_length=1)


class DatabaseSettings(Group):
    """The server's Postgres; its URL is the secret databaseUrl."""

    # Pydantic's models have an attribute "schema" of their own.
    schema_name: str = setting(
        "prefect", alias="schema", doc="schema of the server's tables", pattern="^[a-z_][a-z0-9_]{0,58}$"
    )
    tier: Literal["nano", "micro", "small", "medium"] = setting("nano", doc="Supabase tier, bounds the connections")
    pooler_clients: int = setting(
        15,
        doc="clients that Supabase's session pooler takes (its pool size), where databaseUrl leads to one",
        ge=15,
        le=600,
    )
    require_tls: bool = setting(True, doc="refuse unencrypted connections to the database")
    keep_snapshots: int = setting(
        2, doc="upgrades whose copy of the schema, made before it is changed, is kept; 0: none is made", ge=0, le=10
    )
    size_limit_mb: int | None = setting(
        None, doc="MB that the database may have; without it 500 with tier nano and 8000 with the others", ge=100
    )
    when_too_large: Literal["refuse", "skip"] = setting(
        "refuse", doc="an upgrade whose copy would not fit stops, or goes on without one (skip)"
    )


class ServicesSettings(Group):
    """The server's background services."""

    separate: bool = setting(False, doc="run the background services on a machine of their own (needs redisUrl)")


class KeySettings(Group):
    """Generations of the API keys; rotating: current 2, accepted [1, 2]; then accepted [2]."""

    current: int = setting(1, doc="generation that the consumers use", ge=1)
    accepted: tuple[Annotated[int, Field(ge=1)], ...] = setting(
        (1,), doc="generations that the server accepts", min_length=1, json_schema_extra={"uniqueItems": True}
    )


class RetentionSettings(Group):
    """How long the server keeps history."""

    flow_run_days: int = setting(90, doc="days that finished flow runs are kept", ge=1, le=3650)
    event_days: int = setting(7, doc="days that events are kept", ge=1, le=3650)
    lineage_days: int = setting(90, doc="days that runs of assets are kept; the graph stays", ge=1, le=3650)


class AuditSettings(Group):
    """Who did what on the server: always in its log, and where asked in its database."""

    keep_days: int = setting(
        0, doc="days that audit lines are kept in the database; 0: they are only in the log", ge=0, le=3650
    )


class OrchestratorSettings(Group):
    """The app that is wired to the server."""

    app: str = setting(doc="name of the orchestrator's Fly app", example="acme-orchestrator", pattern=NAME)
    health_url: str = setting(
        doc="its health endpoint", example="https://acme-orchestrator.fly.dev/health", pattern=URL
    )
    connected: bool = setting(True, doc="false detaches the orchestrator and keeps the server")
    redeploy: Literal["workflow", "machines"] = setting("workflow", doc="how new secrets reach it")
    rollback: Literal["workflow", "machines"] = setting("workflow", doc="how it is redeployed when it is detached")
    take_over: bool = setting(False, doc="replace PREFECT_* secrets that someone else set; the old values are lost")
    client_version: str | None = setting(
        None,
        doc="version of its Prefect client; one from 3.4.10 to 3.6.13 is given the header that it needs",
        example="3.4.25",
        pattern=r"^\d+\.\d+\.\d+[\w.+-]{0,40}$",
    )
    allow_old_client: bool = setting(False, doc="only warn of a client that is too old for all that the server offers")


class GithubSettings(Group):
    """The repository whose workflow deploys the orchestrator; its owner is github:owner."""

    repository: str = setting(doc="name of the repository, without its owner", example="acme", pattern=r"^[\w.-]+$")
    workflow: str = setting("deploy-orchestrator.yml", doc="workflow file that deploys the orchestrator", min_length=1)
    ref: str = setting("main", doc="branch or tag the workflow runs on", min_length=1)
    workflow_inputs: dict[str, str] = setting(
        {}, doc="inputs of the workflow; {nonce} in a value becomes different for every dispatch"
    )
    environment: str | None = setting(
        None, doc="environment to keep the secrets in, instead of the repository; `up` stops at once when it is missing"
    )


class UptimeSettings(Group):
    """The Better Stack monitor."""

    enabled: bool = setting(True, doc="watch the server with Better Stack")
    interval_seconds: int = setting(180, doc="seconds between two checks", ge=30, le=1800)
    regions: tuple[Literal["us", "eu", "as", "au"], ...] = setting(
        ("us", "eu"), doc="where the checks come from", min_length=1, json_schema_extra={"uniqueItems": True}
    )
    path: str = setting("/api/ready", doc="path to check; /api/health does not see the database", pattern="^/.*$")


class TimeoutSettings(Group):
    """How long the program waits, in seconds."""

    migrate: int = setting(300, doc="seconds a database migration may take", ge=10, le=3600)
    healthy: int = setting(300, doc="seconds a machine may take to become healthy", ge=10, le=3600)
    redeploy: int = setting(1200, doc="seconds the orchestrator's redeploy may take", ge=10, le=7200)
    domain: int = setting(900, doc="seconds until fly.domain has to be usable, with fly.useDomain", ge=10, le=7200)


class CloudSettings(Group):
    """Prefect Cloud, for mode: cloud; its key is the secret cloudApiKey."""

    api_url: str | None = setting(
        None,
        doc="URL of the Prefect Cloud workspace's API",
        example="https://api.prefect.cloud/api/accounts/…/workspaces/…",
        pattern="^https?://[^/]+/api/accounts/[^/]+/workspaces/[^/]+/?$",
    )


class LoginSettings(Group):
    """One person's login. A bare name stands for an admin without an end."""

    name: str = setting(doc="name of the person", example="anna", pattern=LOGIN)
    rights: Literal["viewer", "operator", "admin"] = setting(
        "admin", doc="viewer: looks at everything; operator: runs, cancels, pauses as well; admin: everything"
    )
    expires: str | None = setting(
        None,
        doc="from when the server refuses the login: a date, which is its beginning in UTC, or an RFC 3339 time",
        example="2027-01-31",
    )
    sha256: str | None = setting(
        None,
        doc="SHA-256 of a key that the person made (`python -m ops login`); then none is generated",
        pattern="^[0-9a-f]{64}$",
    )

    @field_validator("expires")
    @classmethod
    def _in_utc(cls, text: str | None) -> str | None:
        return expiry.rfc3339(expiry.parse(text)) if text else text


class GeneralSettings(Group):
    """What stands outside of any group."""

    endpoints: Literal["real", "sandbox"] = setting(
        "real", doc="the world of the stack: real, or sandbox (this machine only)"
    )
    mode: Literal["self-hosted", "cloud"] = setting(
        "self-hosted", doc="self-hosted: a server of our own; cloud: Prefect Cloud, same wiring"
    )
    logins: tuple[LoginSettings, ...] = setting(
        (LoginSettings(name="admin"),),
        doc="people's logins, each a name or a group of what follows",
        json_schema_extra={
            "uniqueItems": True,
            "default": ["admin"],
            "items": {
                "anyOf": [
                    {"type": "string", "pattern": LOGIN},
                    {**LoginSettings.model_json_schema(), "description": "One person's login."},
                ]
            },
        },
    )
    variables: dict[str, JsonValue] = setting({}, doc="variables on the server: names with any value each")
    work_pools: dict[str, WorkPoolSettings] = setting({}, doc="work pools on the server")


GROUPS: dict[str, type[Group]] = {
    "fly": FlySettings,
    "vm": VmSettings,
    "image": ImageSettings,
    "database": DatabaseSettings,
    "services": ServicesSettings,
    "keys": KeySettings,
    "retention": RetentionSettings,
    "audit": AuditSettings,
    "orchestrator": OrchestratorSettings,
    "github": GithubSettings,
    "uptime": UptimeSettings,
    "timeouts": TimeoutSettings,
    "cloud": CloudSettings,
    "alerts": AlertSettings,
    "concurrencyLimits": ConcurrencyLimitSettings,
}
SECRETS = {
    "databaseUrl": "Postgres URL of the server, in any common spelling",
    "databaseCa": "PEM certificate that the database's TLS certificate is verified with",
    "redisUrl": "Redis URL (redis:// or rediss://), for services.separate",
    "cloudApiKey": "Prefect Cloud API key (pnu_...), for mode: cloud",
    "alertAddresses": "address of each channel of alerts, by its name",
}
SECRETS_BY_NAME = frozenset({"alertAddresses"})
"""Those that hold names with a secret each, set with --path."""
