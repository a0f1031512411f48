"""The environment Prefect reads its settings from, made of ours before Prefect is imported."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from urllib.parse import quote

from prefect_server.settings import DATABASE_URL, SCHEME, ServerSettings

CONNECT_ARGS = "PREFECT_SERVER_DATABASE_SQLALCHEMY_CONNECT_ARGS_"

# Whatever the machine's configuration says: another value would break the deployment.
FIXED = {
    "PREFECT_SERVER_DATABASE_MIGRATE_ON_START": "false",
    "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
    # Else it looks whether it registered them before, and loads every integration for that.
    "PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false",
    "PREFECT_SERVER_UI_API_URL": "/api",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "false",
    # With a terminal on stdin Prefect would wait for ever for an answer.
    "PREFECT_CLI_PROMPT": "false",
    "DO_NOT_TRACK": "1",
}
DEFAULTS = {
    # Prefect alone keeps every flow run for ever, which fills a 500 MB database.
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
    # Prefect alone forgets after a minute what an automation waited for in vain: one that was due while the server was
    # away would never fire. Not longer: each flow run of somebody's automation may leave a row for so long.
    "PREFECT_SERVER_EVENTS_EXPIRED_BUCKET_BUFFER": "PT1H",
}

LEASE_STORAGE = "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"
DISTRIBUTED = {
    "PREFECT_SERVER_EVENTS_MESSAGING_BROKER": "prefect_redis.messaging",
    "PREFECT_SERVER_EVENTS_MESSAGING_CACHE": "prefect_redis.messaging",
    "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING": "prefect_redis.ordering",
    LEASE_STORAGE: "prefect_redis.lease_storage",
    "PREFECT_SERVER_WORKER_CHANNEL_CLEANUP_QUEUE_STORAGE": "prefect_redis.cleanup_queue",
}
# Each of them alone would be a Redis on this machine, at port 6379.
REDIS_URLS = (
    "PREFECT_REDIS_MESSAGING_URL",
    "PREFECT_REDIS_WORKER_CLEANUP_QUEUE_URL",
    "PREFECT_SERVER_DOCKET_URL",
)


def application_name(verb: str, schema: str) -> str:
    """Return the name that a verb's sessions have in the database; Postgres cuts it after 63 characters."""
    return f"prefect-fly-{verb} {schema}"[:63]


def prefect_environment(
    settings: ServerSettings, *, search_path: str, auth_string: str, verb: str, scratch: Path
) -> dict[str, str]:
    """Everything to be put into os.environ before Prefect is imported. `scratch` is an existing, private folder."""
    wanted = FIXED | {name: value for name, value in DEFAULTS.items() if not os.environ.get(name)}
    wanted |= {
        f"{CONNECT_ARGS}SEARCH_PATH": search_path,
        f"{CONNECT_ARGS}APPLICATION_NAME": application_name(verb, settings.schema),
        "PREFECT_SERVER_API_AUTH_STRING": auth_string,
        "PREFECT_SERVER_API_HOST": settings.host,
        "PREFECT_SERVER_API_PORT": str(settings.port),
        "PREFECT_HOME": os.environ.get("PREFECT_HOME") or str(scratch),
    }
    wanted |= _tls(settings, scratch)
    if settings.redis_url:
        wanted |= DISTRIBUTED
        wanted |= dict.fromkeys(REDIS_URLS, settings.redis_url)
    elif verb == "serve":
        wanted[LEASE_STORAGE] = "prefect_server.prefect_leases"
    return wanted


def _tls(settings: ServerSettings, scratch: Path) -> dict[str, str]:
    """The connection URL and what goes with it: verified with a CA, encrypted without one, as it comes otherwise."""
    address = settings.database
    host = f"[{address.host}]" if ":" in address.host else address.host
    credentials = f"{quote(address.user, safe='')}:{quote(address.password, safe='')}"
    url = f"{SCHEME}://{credentials}@{host}:{address.port}/{quote(address.name, safe='')}"
    if settings.database_ca:
        authority = scratch / "database-ca.pem"
        authority.write_text(settings.database_ca)
        return {
            DATABASE_URL: url,
            f"{CONNECT_ARGS}TLS_ENABLED": "true",
            f"{CONNECT_ARGS}TLS_CA_FILE": str(authority),
            f"{CONNECT_ARGS}TLS_CHECK_HOSTNAME": "true",
        }
    return {DATABASE_URL: f"{url}?ssl=require" if settings.require_tls else url}


def scratch_folder() -> Path:
    """A private folder for what Prefect writes; it lives as long as the machine, and nothing in it is needed later."""
    return Path(tempfile.mkdtemp(prefix="prefect-server-"))
