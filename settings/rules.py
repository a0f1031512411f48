"""Rules that no single setting can check: what belongs together, and what only one world may use.

A rule whose settings have problems of their own is left out; all others are checked, so that one run names everything.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from urllib.parse import urlsplit

from clients.client_versions import Fit, fit_of, verdict
from clients.endpoints import (
    BETTER_STACK,
    FLY_API,
    FLY_MACHINES,
    GITHUB,
    Service,
    World,
    WrongWorldError,
    base_url,
    require_url,
)
from clients.names import CONSUMERS, PULUMI
from settings.database import ConnectionBudget, DatabaseUrlError, connection_budget, is_pooler, normalise
from settings.draft import Draft, UnusableError
from settings.fly import FlySettings
from settings.groups import (
    CloudSettings,
    DatabaseSettings,
    GeneralSettings,
    ImageSettings,
    KeySettings,
    OrchestratorSettings,
    ServicesSettings,
    UptimeSettings,
    VmSettings,
)
from settings.problems import Problems

FLY_REGISTRY = "registry.fly.io"


def check(draft: Draft, problems: Problems) -> None:
    """Check every rule that can be checked."""
    for rule in (*_ALWAYS, *(_CLOUD if draft.cloud else _SELF_HOSTED)):
        with suppress(UnusableError):
            rule(draft, problems)


def budget(draft: Draft, problems: Problems) -> ConnectionBudget | None:
    """Return how many database connections the server's processes may hold; None for Prefect Cloud."""
    if draft.cloud:
        return None
    with suppress(UnusableError):
        vm = draft.get(VmSettings)
        processes = vm.replicas + (1 if draft.get(ServicesSettings).separate else 0)
        database, pooled = draft.get(DatabaseSettings), is_pooler(draft.secrets["databaseUrl"])
        clients, in_place = database.pooler_clients if pooled else None, vm.strategy != "bluegreen"
        try:
            return connection_budget(database.tier, processes, clients, in_place=in_place)
        except ValueError as error:
            problems.add("vm.replicas", str(error) + ("" if in_place else ", or set vm.strategy: rolling"))
    return None


def database_url(draft: Draft, problems: Problems) -> str:
    """Return databaseUrl in the spelling that Prefect accepts; empty for Prefect Cloud, or when it cannot be used."""
    if draft.cloud:
        return ""
    raw, has_ca = draft.secrets["databaseUrl"], bool(draft.secrets["databaseCa"])
    if not raw:
        problems.add("databaseUrl", 'it is required. Set it with "pulumi config set --secret databaseUrl"')
        return ""
    with suppress(UnusableError):
        try:
            return normalise(raw, require_tls=draft.get(DatabaseSettings).require_tls, has_ca=has_ca).url
        except DatabaseUrlError as error:
            problems.add("databaseUrl", str(error))
    return ""


def _owner(draft: Draft, problems: Problems) -> None:
    if not draft.foreign.get("github:owner"):
        problems.add("github:owner", 'it is required. Set it with "pulumi config set github:owner <owner>"')


def _logins(draft: Draft, problems: Problems) -> None:
    logins = [each.name for each in draft.get(GeneralSettings).logins]
    for login in logins:
        if login in {*CONSUMERS, PULUMI}:
            problems.add("logins", f'"{login}" is the name of a consumer\'s own key: choose another')
    if len(set(logins)) != len(logins):
        problems.add("logins", "a name stands twice")


def _generations(draft: Draft, problems: Problems) -> None:
    keys = draft.get(KeySettings)
    if keys.current not in keys.accepted:
        problems.add("keys.current", f"generation {keys.current} is not in keys.accepted {list(keys.accepted)}")
    if len(set(keys.accepted)) != len(keys.accepted):
        problems.add("keys.accepted", "a generation stands twice")


def _swap(draft: Draft, problems: Problems) -> None:
    vm = draft.get(VmSettings)
    if vm.memory_mb < 512 and vm.swap_mb < 256:
        problems.add("vm.swapMb", "256 MB of memory without swap never becomes healthy: set at least 256, better 512")


_CPUS = {"shared": (1, 2, 4, 6, 8), "performance": (1, 2, 4, 6, 8, 10, 12, 14, 16)}
_MB_PER_CPU = {"shared": (256, 2048), "performance": (2048, 8192)}


def _sizes(draft: Draft, problems: Problems) -> None:
    """Refuse what Fly does not sell: shared-cpu-1x to 8x, performance-1x to 16x, each with its range of memory."""
    vm = draft.get(VmSettings)
    if vm.cpus not in _CPUS[vm.cpu_kind]:
        sold = ", ".join(map(str, _CPUS[vm.cpu_kind]))
        problems.add("vm.cpus", f"Fly sells no machine with {vm.cpus} {vm.cpu_kind} CPUs, only with {sold}")
        return
    least, most = (each * vm.cpus for each in _MB_PER_CPU[vm.cpu_kind])
    if not least <= vm.memory_mb <= most:
        problems.add("vm.memoryMb", f"{vm.cpus} {vm.cpu_kind} CPU(s) take {least} to {most} MB, not {vm.memory_mb}")


def _schema(draft: Draft, problems: Problems) -> None:
    name = draft.get(DatabaseSettings).schema_name
    if name.startswith("pg_") or name.endswith("_fly"):
        problems.add(
            "database.schema",
            f'"{name}" is not free: names that begin with "pg_" are Postgres\'s, those with "_fly" at the end are for '
            "the image's own tables. Choose another name",
        )


def _several_machines(draft: Draft, problems: Problems) -> None:
    replicas, separate = draft.get(VmSettings).replicas, draft.get(ServicesSettings).separate
    if replicas > 1 and not separate:
        problems.add("vm.replicas", f"{replicas} replicas need services.separate: true and the secret redisUrl")


def _redis(draft: Draft, problems: Problems) -> None:
    url = draft.secrets["redisUrl"]
    if url and not url.startswith(("redis://", "rediss://")):
        problems.add("redisUrl", "it must start with redis:// or rediss://")
    if draft.get(ServicesSettings).separate and not url:
        problems.add("redisUrl", "services.separate needs it: set it with pulumi config set --secret redisUrl")


def _image(draft: Draft, problems: Problems) -> None:
    image = draft.get(ImageSettings)
    if image.reference is None and not image.build:
        problems.add("image.reference", "image.build is false, so an image reference is required")


def _client(draft: Draft, problems: Problems) -> None:
    """Refuse a client that no header helps; Prefect Cloud has rules of its own."""
    orchestrator = draft.get(OrchestratorSettings)
    version = orchestrator.client_version or ""
    fit = fit_of(version)
    if fit is Fit.REFUSED:
        problems.add("orchestrator.clientVersion", f"Prefect {version} {verdict(version)}")
    elif fit is Fit.LOSSY and not orchestrator.allow_old_client:
        problems.add(
            "orchestrator.clientVersion",
            f"Prefect {version}: {verdict(version)}, or accept that with orchestrator.allowOldClient: true",
        )


def _cloud(draft: Draft, problems: Problems) -> None:
    if not draft.secrets["cloudApiKey"].startswith("pnu_"):
        problems.add("cloudApiKey", "mode: cloud needs a Prefect Cloud key, which starts with pnu_")
    if not draft.get(CloudSettings).api_url:
        problems.add("cloud.apiUrl", "mode: cloud needs it (https://api.prefect.cloud/api/accounts/…/workspaces/…)")


def _health_address(draft: Draft, problems: Problems) -> None:
    _belongs(draft, problems, "orchestrator.healthUrl", draft.get(OrchestratorSettings).health_url)


def _cloud_address(draft: Draft, problems: Problems) -> None:
    url = draft.get(CloudSettings).api_url
    if url:
        _belongs(draft, problems, "cloud.apiUrl", url)


def _server_address(draft: Draft, problems: Problems) -> None:
    fly = draft.get(FlySettings)
    _belongs(draft, problems, "fly.privateUrlTemplate" if fly.private else "fly.urlTemplate", fly.app_url)


def _private(draft: Draft, problems: Problems) -> None:
    fly = draft.get(FlySettings)
    if not fly.private:
        return
    if fly.domain:
        problems.add("fly.domain", "a private server has no public address that a name could lead to: leave it out")
    if draft.get(UptimeSettings).enabled:
        problems.add(
            "uptime.enabled",
            "Better Stack cannot reach a private server: set it to false, and watch the metrics (docs/monitoring.md)",
        )


def _domain(draft: Draft, problems: Problems) -> None:
    fly = draft.get(FlySettings)
    if fly.domain is None:
        if fly.use_domain:
            problems.add("fly.useDomain", "there is no fly.domain to use")
        return
    if fly.domain.endswith((".fly.dev", ".flycast", ".internal")):
        problems.add("fly.domain", f'"{fly.domain}" is Fly\'s own: give a name from a zone of yours, or leave it out')
        return
    _belongs(draft, problems, "fly.domainUrlTemplate", fly.domain_url)


def _registry_address(draft: Draft, problems: Problems) -> None:
    image = draft.get(ImageSettings)
    if image.reference is None and (image.registry != FLY_REGISTRY or _world(draft) is World.SANDBOX):
        _belongs(draft, problems, "image.registry", f"https://{image.registry}")


def _github_address(draft: Draft, problems: Problems) -> None:
    # The provider's own variable counts where the stack is silent.
    url = draft.foreign.get("github:baseUrl") or os.environ.get("GITHUB_BASE_URL", "")
    if url or _world(draft) is World.SANDBOX:
        _belongs(draft, problems, "github:baseUrl", url)


def _one_github(draft: Draft, problems: Problems) -> None:
    """Refuse secrets that are written to one GitHub and workflows that are started on another."""
    if GITHUB not in _services(draft):
        return
    with suppress(WrongWorldError):
        verbs = _host(base_url(GITHUB, _world(draft)))
        provider = _host(draft.foreign.get("github:baseUrl") or os.environ.get("GITHUB_BASE_URL") or GITHUB.default)
        if provider != verbs:
            problems.add(
                "github:baseUrl",
                f"the repository's secrets would be written at {provider} (github:baseUrl or GITHUB_BASE_URL) and its "
                f"workflow started at {verbs} ({GITHUB.variable}): let both name one host",
            )


def _host(url: str) -> str:
    # The provider understands the web address of github.com as its API's.
    netloc = urlsplit(url).netloc.lower()
    return {"github.com": "api.github.com"}.get(netloc, netloc)


def _shell(draft: Draft, problems: Problems) -> None:
    """Refuse a shell that points an API of this stack elsewhere before anything is done."""
    for service in _services(draft):
        try:
            base_url(service, _world(draft))
        except WrongWorldError as error:
            problems.append(str(error).rstrip("."))


def _services(draft: Draft) -> Iterator[Service]:
    yield from (FLY_MACHINES, FLY_API)
    orchestrator = draft.get(OrchestratorSettings)
    if "workflow" in {orchestrator.redeploy, orchestrator.rollback}:
        yield GITHUB
    if not draft.cloud and draft.get(UptimeSettings).enabled:
        yield BETTER_STACK


def _world(draft: Draft) -> World:
    return World(draft.get(GeneralSettings).endpoints)


def _belongs(draft: Draft, problems: Problems, key: str, url: str) -> None:
    try:
        require_url(url, _world(draft), key)
    except WrongWorldError as error:
        problems.append(str(error).rstrip("."))


Rule = Callable[[Draft, Problems], None]
_ALWAYS: tuple[Rule, ...] = (_owner, _logins, _generations, _health_address, _github_address, _one_github, _shell)
_CLOUD: tuple[Rule, ...] = (_cloud, _cloud_address)
_SELF_HOSTED: tuple[Rule, ...] = (
    _sizes,
    _swap,
    _schema,
    _several_machines,
    _redis,
    _image,
    _client,
    _server_address,
    _domain,
    _private,
    _registry_address,
)
