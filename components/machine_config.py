"""Configurations of the server's Fly machines, as the Machines API takes them; pure functions.

Sources: docs/fly.md for the shape that `fly deploy` itself sends, docs/server-image.md for the image's variables and
the measured limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from settings.database import ConnectionBudget
from settings.groups import AuditSettings, DatabaseSettings, RetentionSettings, VmSettings

HTTP_PORT = 4200
METRICS_PORT = 9091
_PACE = {"interval": "30s", "timeout": "5s", "grace_period": "60s"}
# Supabase's free plan makes a database above 500 MB read-only; the disk of a paid one begins with 8 GB.
_LIMITS_MB, _LARGER_MB = {"nano": 500}, 8000
# The most that Fly gives a machine with shared CPUs. An idle server stops in 2 s, one whose database is down in 27 s;
# one that is very busy needs long for what it has taken (docker/prefect/prefect_server/ending.py).
_STOP = {"signal": "SIGTERM", "timeout": "300s"}


@dataclass(frozen=True, kw_only=True)
class MachineSettings:
    """What the configuration of a server machine is made of.

    Attributes:
        vm: size.
        region: the server's main region.
        database: schema and encryption.
        retention: how long history is kept.
        audit: whether and how long audit lines are kept.
        separate_services: the background services run on a machine of their own.
        connections: how many database connections each process may hold.
        private: reached through Flycast, which knows no HTTPS.
    """

    vm: VmSettings
    region: str
    database: DatabaseSettings
    retention: RetentionSettings
    audit: AuditSettings
    separate_services: bool
    connections: ConnectionBudget | None
    private: bool = False


def database_environment(database: DatabaseSettings) -> dict[str, str]:
    """Plain variables that tell the image how to use the database; `migrate` and the machines share them."""
    return {
        "PREFECT_FLY_DATABASE_SCHEMA": database.schema_name,
        "PREFECT_FLY_DATABASE_REQUIRE_TLS": str(database.require_tls).lower(),
    }


def snapshot_environment(database: DatabaseSettings) -> dict[str, str]:
    """Plain variables that tell `migrate` about the copy it keeps of a schema before it changes it."""
    return {
        "PREFECT_FLY_KEEP_SNAPSHOTS": str(database.keep_snapshots),
        "PREFECT_FLY_DATABASE_LIMIT_MB": str(database.size_limit_mb or _LIMITS_MB.get(database.tier, _LARGER_MB)),
        "PREFECT_FLY_SNAPSHOT_TOO_LARGE": database.when_too_large,
    }


def server_environment(settings: MachineSettings) -> dict[str, str]:
    """Plain variables of every server machine; secrets come from the app."""
    pool = settings.connections
    environment = {
        **database_environment(settings.database),
        "PREFECT_SERVER_API_PORT": str(HTTP_PORT),
        "PREFECT_FLY_METRICS_PORT": str(METRICS_PORT),
        "PREFECT_FLY_SEPARATE_SERVICES": str(settings.separate_services).lower(),
        "PREFECT_FLY_LINEAGE_DAYS": str(settings.retention.lineage_days),
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": _days(settings.retention.event_days),
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": _days(settings.retention.flow_run_days),
    }
    if settings.audit.keep_days:
        environment["PREFECT_FLY_AUDIT_KEEP_DAYS"] = str(settings.audit.keep_days)
    if pool:
        environment["PREFECT_SERVER_DATABASE_SQLALCHEMY_POOL_SIZE"] = str(pool.pool_size)
        environment["PREFECT_SERVER_DATABASE_SQLALCHEMY_MAX_OVERFLOW"] = str(pool.max_overflow)
    return environment


def _days(days: int) -> str:
    # Prefect reads a text as an ISO 8601 duration and refuses a bare number of seconds.
    return f"P{days}D"


def api_machine(settings: MachineSettings, image: str) -> dict[str, Any]:
    """The configuration of a machine that serves the API and the UI."""
    return {
        **_machine(settings, image, group="app", command="serve"),
        "services": [_http_service(private=settings.private)],
    }


def services_machine(settings: MachineSettings, image: str) -> dict[str, Any]:
    """The configuration of the machine that runs the background services; nothing is routed to it.

    It has no API, so that its metrics stand for its health.
    """
    check = {"type": "http", "method": "GET", "port": METRICS_PORT, "path": "/metrics", **_PACE}
    return {**_machine(settings, image, group="services", command="services"), "checks": {"metrics": check}}


def _machine(settings: MachineSettings, image: str, *, group: str, command: str) -> dict[str, Any]:
    vm = settings.vm
    identity: Mapping[str, str] = {"FLY_PROCESS_GROUP": group, "PRIMARY_REGION": settings.region}
    init: dict[str, Any] = {"cmd": [command]}
    if vm.swap_mb:
        init["swap_size_mb"] = vm.swap_mb
    return {
        "image": image,
        "env": {**server_environment(settings), **identity},
        "init": init,
        "guest": {"cpu_kind": vm.cpu_kind, "cpus": vm.cpus, "memory_mb": vm.memory_mb},
        # Without both of these flyctl treats the machine as detached and leaves it alone.
        "metadata": {"fly_platform_version": "v2", "fly_process_group": group},
        # A server that boots while its database is down exits, so it must be started again for ever.
        "restart": {"policy": "always"},
        "stop_config": dict(_STOP),
        "metrics": {"port": METRICS_PORT, "path": "/metrics"},
    }


def _http_service(*, private: bool) -> dict[str, Any]:
    return {
        "protocol": "tcp",
        "internal_port": HTTP_PORT,
        "autostop": "off",
        "autostart": True,
        "min_machines_running": 1,
        "ports": [
            {"port": 80, "handlers": ["http"], "force_https": not private},
            # Also where it is private: until everybody has moved, a server that was public is used at its old address.
            {"port": 443, "handlers": ["tls", "http"]},
        ],
        "checks": [{"type": "http", "method": "GET", "path": "/api/ready", **_PACE}],
    }
