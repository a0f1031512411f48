"""The verbs `serve` and `services`: settings, database, then Prefect. What is wrong is said early, in a sentence."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import secrets
import socket
import sys
from collections.abc import Mapping

from prefect_server import preflight
from prefect_server import settings as settings_module
from prefect_server.audit import Audit
from prefect_server.collector import paused_collector
from prefect_server.counters import Counters
from prefect_server.duty import Duty
from prefect_server.environment import prefect_environment, scratch_folder
from prefect_server.exit_codes import ExitCode, VerbError
from prefect_server.gate import Gate, SelfCheckError
from prefect_server.key_follower import KeyFollower
from prefect_server.keys import KeyRing
from prefect_server.lineage.routes import Lineage
from prefect_server.observing import Observer
from prefect_server.repeats import Repeats
from prefect_server.self_check import check_gate, check_inner
from prefect_server.settings import ServerSettings, SettingsError
from prefect_server.signed_ring import Signer
from prefect_server.surface import Surface
from prefect_server.versions import UnprovedVersionError, require_proved

logger = logging.getLogger("prefect_fly")


def set_up_logging() -> None:
    """Log this program's own lines to standard error, whatever Prefect's logging configuration says."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s | %(levelname)-7s | %(name)s - %(message)s"))
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False


def read_settings(environ: Mapping[str, str], *, needs_keys: bool) -> ServerSettings:
    """Read the settings.

    Raises:
        VerbError: one or more are missing or wrong.
    """
    try:
        return settings_module.read(environ, needs_keys=needs_keys)
    except SettingsError as error:
        raise VerbError(ExitCode.BAD_SETTINGS, str(error)) from error


def prepare(settings: ServerSettings, verb: str) -> str:
    """Check version, ports and database and put Prefect's settings into the environment; returns the auth string.

    Raises:
        VerbError: one of them cannot be used.
    """
    try:
        require_proved()
    except UnprovedVersionError as error:
        raise VerbError(ExitCode.OTHER, str(error)) from error
    ports = [settings.port, settings.metrics_port] if verb == "serve" else [settings.metrics_port]
    for port in ports:
        _require_free(settings.host, port)
    layout = preflight.look(settings)
    # The whole range of letters is not needed: it must be ASCII and must not be guessed.
    auth_string = f"gate:{secrets.token_urlsafe(32)}"
    os.environ.update(
        prefect_environment(
            settings, search_path=layout.search_path, auth_string=auth_string, verb=verb, scratch=scratch_folder()
        )
    )
    _use_writable_ui_folder()
    load_prefect_settings()
    return auth_string


def load_prefect_settings() -> None:
    """Import Prefect's settings, which reads the environment.

    Raises:
        VerbError: one of Prefect's own variables has a value it cannot take; the sentence does not repeat the value.
    """
    from prefect.settings import (  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - reads the environment
        get_current_settings,
    )

    try:
        get_current_settings()
    except ValueError as error:  # pydantic's ValidationError is one
        raise VerbError(
            ExitCode.BAD_SETTINGS, f"could not read Prefect's settings: {'; '.join(_mistakes(error))}"
        ) from error


def _mistakes(error: ValueError) -> list[str]:
    """Name the variables that pydantic could not take; it knows only the fields they end up in."""
    mistakes = []
    for each in getattr(error, "errors", list)():
        names = [name for name, value in os.environ.items() if name.startswith("PREFECT_") and value == each["input"]]
        mistakes.append(f"{' or '.join(names) or '.'.join(map(str, each['loc']))}: {each['msg']}")
    return mistakes


def _require_free(host: str, port: int) -> None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise VerbError(
            ExitCode.BAD_SETTINGS, f"could not listen on {host}:{port}: {error.strerror or error}"
        ) from error


def _use_writable_ui_folder() -> None:
    """Let Prefect unpack its UI where it may write; the image has it unpacked already and sets the variable."""
    name = "PREFECT_SERVER_UI_STATIC_DIRECTORY"
    if not os.environ.get(name) and not os.access(preflight.prefect_folder() / "server", os.W_OK):
        os.environ[name] = os.path.join(os.environ["PREFECT_HOME"], "ui")  # noqa: PTH118 - both are strings


def make_gate(app: object, settings: ServerSettings, auth_string: str) -> Gate:
    """Put the gate around Prefect's application.

    Raises:
        VerbError: Prefect's routes are not the ones the gate was made for.
    """
    from prefect_server import (  # noqa: PLC0415 - Prefect reads its settings when it is imported
        prefect_app,
        prefect_key_table,
        prefect_lineage,
        prefect_observed,
    )

    keys = settings.keys or KeyRing({})

    try:
        prefect_app.require_known_routes(app)
    except SelfCheckError as error:
        raise VerbError(ExitCode.OTHER, f"could not start the gate: {error}") from error

    if odd := prefect_app.odd_routes(app):
        logger.warning("these routes are for admins only, routes.py does not have them as they are: %s", ", ".join(odd))

    async def self_check(gate: Gate) -> None:
        await check_inner(gate.app, auth_string)
        await check_gate(gate)
        logger.info("the gate's self-check passed; keys: %s", ", ".join(sorted(keys.names)))

    gate = Gate(
        app,  # type: ignore[arg-type]
        keys=keys,
        auth_string=auth_string,
        surface=Surface(prefect_app.closed_paths(app)),
        counters=Counters(keys.names),
        observer=Observer(prefect_observed.ask, prefect_observed.pool, version=require_proved()),
        lineage=Lineage(prefect_lineage.borrow, schema=settings.schema),
        self_check=self_check,
    )
    if settings.keys_signing:
        signer = Signer(settings.keys_signing)
        own = signer.sign(settings.keys_generation, settings.keys_text)
        table = prefect_key_table.PrefectKeyTable(settings.schema, signer.id)
        gate.follower = KeyFollower(signer, table, own, gate.exchange)
    return gate


def serve(environ: Mapping[str, str]) -> int:
    """Serve Prefect behind the gate until a signal ends it.

    Raises:
        VerbError: it could not start.
    """
    settings = read_settings(environ, needs_keys=True)
    with paused_collector():
        auth_string = prepare(settings, "serve")
        _raise_open_files()
        from prefect_server import prefect_app, prefect_audit, prefect_leases, running  # noqa: PLC0415 - Prefect reads its settings when it is imported

        app = prefect_app.create(webserver_only=settings.separate_services)
        gate = make_gate(app, settings, auth_string)
        prefect_leases.LINE.settings = settings
        if settings.audit_keep_days:
            gate.audit = Audit(prefect_audit.AuditTable(settings.schema), settings.audit_keep_days)
        duty = make_duty(settings, environ)
        _guard_services()
    return asyncio.run(running.serve(settings, gate, duty))


def make_duty(settings: ServerSettings, environ: Mapping[str, str]) -> Duty | None:
    """Let what two servers would both do happen once; None where they share a queue, or it happens elsewhere.

    Raises:
        VerbError: Prefect's services are not where they were.
    """
    if settings.redis_url or settings.separate_services:
        return None
    from prefect_server import prefect_app, prefect_duty  # noqa: PLC0415 - Prefect reads its settings at import

    repeats = Repeats(prefect_duty.DatabaseClaims(settings.schema))
    holder = environ.get("FLY_MACHINE_ID") or secrets.token_hex(8)
    duty = Duty(prefect_duty.DatabaseLease(settings.schema), holder, repeats)
    try:
        prefect_app.guard_periodic_services(duty.only_on_duty)
        prefect_app.guard_reactions(repeats.once)
    except SelfCheckError as error:
        raise VerbError(ExitCode.OTHER, f"could not start the services: {error}") from error
    return duty


def _guard_services() -> None:
    """Keep a clock that jumps from removing what is not old and stopping what is periodic; let webhooks not end others.

    Raises:
        VerbError: Prefect's services are not where they were.
    """
    from prefect_server import prefect_clock, prefect_webhooks  # noqa: PLC0415 - Prefect reads its settings at import

    try:
        prefect_clock.guard()
        prefect_webhooks.keep_connections()
    except SelfCheckError as error:
        raise VerbError(ExitCode.OTHER, f"could not start the services: {error}") from error


def _raise_open_files() -> None:
    """Slow clients cost an open file each; take as many as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65536)), hard))


def services(environ: Mapping[str, str]) -> int:
    """Run Prefect's background services until a signal ends them, for API machines that run without.

    Raises:
        VerbError: they could not start.
    """
    settings = read_settings(environ, needs_keys=False)
    if not settings.redis_url:
        raise VerbError(ExitCode.BAD_SETTINGS, "could not start the services: PREFECT_FLY_REDIS_URL is not set")
    with paused_collector():
        prepare(settings, "services")
        from prefect_server import prefect_outage, running  # noqa: PLC0415 - Prefect reads its settings when imported

        _guard_services()
    try:
        return asyncio.run(running.services(settings))
    except prefect_outage.REDIS_AWAY as error:
        raise VerbError(
            ExitCode.OTHER,
            f"could not run the services: Redis does not answer ({error}). See that it runs and that the secret "
            "redisUrl is right; until it answers, the machine starts this again by itself.",
        ) from error
