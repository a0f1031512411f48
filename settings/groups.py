"""The groups of settings a stack file may hold: names, defaults, limits and one sentence each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from settings.reader import setting

CLOUD_URL_PATTERN = r"https?://[^/]+/api/accounts/[^/]+/workspaces/[^/]+/?"
_NAME = r"[a-z0-9][a-z0-9-]{0,61}[a-z0-9]?"
LOGIN_PATTERN = r"[A-Za-z0-9_][A-Za-z0-9_-]{0,47}"


@dataclass(frozen=True, kw_only=True)
class FlySettings:
    """Where the server runs."""

    org: str = setting(doc="Fly organisation slug", example="captionacc")
    region: str = setting("ewr", doc="Fly region of the server", pattern="[a-z]{3}")
    app: str = setting(doc="name of the server's Fly app, unique in all of Fly", example="acme-prefect", pattern=_NAME)
    adopt_existing: bool = setting(False, doc="take over an app of that name that already runs machines")
    url_template: str = setting("https://{app}.fly.dev", doc="public address of the server")


@dataclass(frozen=True, kw_only=True)
class VmSettings:
    """The server's machines."""

    cpu_kind: Literal["shared", "performance"] = setting("shared", doc="kind of CPU")
    cpus: int = setting(1, doc="CPUs of each machine", low=1, high=16)
    memory_mb: int = setting(256, doc="memory of each machine, MB, a multiple of 256", low=256, high=131072)
    swap_mb: int = setting(512, doc="swap of each machine, MB; 256 MB of memory cannot do without", low=0, high=8192)
    replicas: int = setting(1, doc="API machines; more than one needs services.separate and redisUrl", low=1, high=5)
    regions: tuple[str, ...] = setting((), doc="regions of the replicas in turn; empty: fly.region", pattern="[a-z]{3}")


@dataclass(frozen=True, kw_only=True)
class ImageSettings:
    """The server's image: built from docker/prefect, or one built from it elsewhere."""

    build: bool = setting(True, doc="build docker/prefect and push it to the app's registry")
    reference: str | None = setting(
        None, doc="deploy this image instead, by digest", pattern=r"[^\s@]+@sha256:[0-9a-f]{64}"
    )
    base: str | None = setting(None, doc="another base image for the build")
    build_network: str | None = setting(None, doc="network mode of the build, where the builder's own has no way out")
    registry: str = setting("registry.fly.io", doc="registry that the build is pushed to")


@dataclass(frozen=True, kw_only=True)
class DatabaseSettings:
    """The server's Postgres; its URL is the secret databaseUrl."""

    schema: str = setting("prefect", doc="schema of the server's tables", pattern="[a-z_][a-z0-9_]{0,62}")
    tier: Literal["nano", "micro", "small", "medium"] = setting("nano", doc="Supabase tier, bounds the connections")
    require_tls: bool = setting(True, doc="refuse unencrypted connections to the database")


@dataclass(frozen=True, kw_only=True)
class ServicesSettings:
    """The server's background services."""

    separate: bool = setting(False, doc="run the background services on a machine of their own (needs redisUrl)")


@dataclass(frozen=True, kw_only=True)
class KeySettings:
    """Generations of the API keys; rotating: current 2, accepted [1, 2]; then accepted [2]."""

    current: int = setting(1, doc="generation that the consumers use", low=1)
    accepted: tuple[int, ...] = setting((1,), doc="generations that the server accepts", low=1)


@dataclass(frozen=True, kw_only=True)
class RetentionSettings:
    """How long the server keeps history."""

    flow_run_days: int = setting(90, doc="days that finished flow runs are kept", low=1, high=3650)
    event_days: int = setting(7, doc="days that events are kept", low=1, high=3650)


@dataclass(frozen=True, kw_only=True)
class OrchestratorSettings:
    """The app that is wired to the server."""

    app: str = setting(doc="name of the orchestrator's Fly app", example="acme-orchestrator", pattern=_NAME)
    health_url: str = setting(doc="its health endpoint", example="https://acme-orchestrator.fly.dev/health")
    connected: bool = setting(True, doc="false detaches the orchestrator and keeps the server")
    redeploy: Literal["workflow", "machines"] = setting("workflow", doc="how new secrets reach it")
    rollback: Literal["workflow", "machines"] = setting("workflow", doc="how it is redeployed when it is detached")
    take_over: bool = setting(False, doc="replace PREFECT_* secrets that someone else set; the old values are lost")


@dataclass(frozen=True, kw_only=True)
class GithubSettings:
    """The repository whose workflow deploys the orchestrator; its owner is github:owner."""

    repository: str = setting(doc="name of the repository, without its owner", example="acme", pattern=r"[\w.-]+")
    workflow: str = setting("deploy-orchestrator.yml", doc="workflow file that deploys the orchestrator")
    ref: str = setting("main", doc="branch or tag the workflow runs on")
    workflow_inputs: dict[str, str] = setting({}, doc="inputs of the workflow")  # noqa: RUF009 - a factory copies it
    environment: str | None = setting(None, doc="environment to keep the secrets in, instead of the repository")


@dataclass(frozen=True, kw_only=True)
class UptimeSettings:
    """The Better Stack monitor."""

    enabled: bool = setting(True, doc="watch the server with Better Stack")
    interval_seconds: int = setting(180, doc="seconds between two checks", low=30, high=1800)
    regions: tuple[str, ...] = setting(("us", "eu"), doc="where the checks come from", pattern="us|eu|as|au")
    path: str = setting("/api/ready", doc="path to check; /api/health does not see the database", pattern="/.*")


@dataclass(frozen=True, kw_only=True)
class TimeoutSettings:
    """How long the program waits, in seconds."""

    migrate: int = setting(300, doc="seconds a database migration may take", low=10, high=3600)
    healthy: int = setting(180, doc="seconds a machine may take to become healthy", low=10, high=3600)
    redeploy: int = setting(1200, doc="seconds the orchestrator's redeploy may take", low=10, high=7200)


@dataclass(frozen=True, kw_only=True)
class CloudSettings:
    """Prefect Cloud, for mode: cloud; its key is the secret cloudApiKey."""

    api_url: str | None = setting(None, doc="URL of the Prefect Cloud workspace's API", pattern=CLOUD_URL_PATTERN)


GROUPS: dict[str, type] = {
    "fly": FlySettings,
    "vm": VmSettings,
    "image": ImageSettings,
    "database": DatabaseSettings,
    "services": ServicesSettings,
    "keys": KeySettings,
    "retention": RetentionSettings,
    "orchestrator": OrchestratorSettings,
    "github": GithubSettings,
    "uptime": UptimeSettings,
    "timeouts": TimeoutSettings,
    "cloud": CloudSettings,
}
