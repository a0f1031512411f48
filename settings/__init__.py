"""A stack's settings: the only reader of Pulumi configuration, as one frozen tree.

Everything that can be known before an API is asked is checked here, and all problems are reported together, each with
the key it belongs to. Secrets are kept out of every `repr`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pulumi
import yaml

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
from settings.database import ConnectionBudget, DatabaseUrlError, connection_budget, normalise
from settings.groups import (
    GROUPS,
    LOGIN_PATTERN,
    CloudSettings,
    DatabaseSettings,
    FlySettings,
    GithubSettings,
    ImageSettings,
    KeySettings,
    OrchestratorSettings,
    RetentionSettings,
    ServicesSettings,
    TimeoutSettings,
    UptimeSettings,
    VmSettings,
)
from settings.reader import Problems, json_schema, read_group, rows, setting

NAMESPACE = "prefect-fly"

SCALARS = {
    "endpoints": ("real", "the world of the stack: real, or sandbox (this machine only)"),
    "mode": ("self-hosted", "self-hosted: a server of our own; cloud: Prefect Cloud, same wiring"),
    "logins": ("[admin]", "people's UI logins, one generated secret each"),
}
SECRETS = {
    "databaseUrl": "Postgres URL of the server, in any common spelling",
    "databaseCa": "PEM certificate that the database's TLS certificate is verified with",
    "redisUrl": "Redis URL (redis:// or rediss://), for services.separate",
    "cloudApiKey": "Prefect Cloud API key (pnu_...), for mode: cloud",
}


class SettingsError(pulumi.RunError):
    """The stack's configuration cannot be used; the text lists every problem."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything a stack states, checked."""

    stack: str
    owner: str
    world: World
    mode: Literal["self-hosted", "cloud"]
    logins: tuple[str, ...]
    fly: FlySettings
    vm: VmSettings
    image: ImageSettings
    database: DatabaseSettings
    services: ServicesSettings
    keys: KeySettings
    retention: RetentionSettings
    orchestrator: OrchestratorSettings
    github: GithubSettings
    github_owner: str
    uptime: UptimeSettings
    timeouts: TimeoutSettings
    cloud: CloudSettings
    connections: ConnectionBudget | None
    database_url: str = field(repr=False)
    database_ca: str = field(repr=False)
    redis_url: str = field(repr=False)
    cloud_api_key: str = field(repr=False)

    @property
    def server_url(self) -> str:
        """Public address of the server, without a trailing slash."""
        return self.fly.url_template.replace("{app}", self.fly.app).rstrip("/")

    @property
    def api_url(self) -> str:
        """What PREFECT_API_URL is set to."""
        if self.mode == "cloud":
            return (self.cloud.api_url or "").rstrip("/")
        return f"{self.server_url}/api"

    @property
    def machine_regions(self) -> tuple[str, ...]:
        """The region of each API machine, in order."""
        choices = self.vm.regions or (self.fly.region,)
        return tuple(choices[index % len(choices)] for index in range(self.vm.replicas))


def owner_hash(organization: str, project: str, stack: str) -> str:
    """The mark that our objects carry: 12 hex digits that stand for org/project/stack."""
    return hashlib.sha256(f"{organization}/{project}/{stack}".encode()).hexdigest()[:12]


def load(root: Path | None = None) -> Settings:
    """Read and check the settings of the current stack.

    Raises:
        SettingsError: something is missing, unknown or contradictory; every problem is listed.
    """
    config = dict(pulumi.runtime.config.CONFIG.get()) or pulumi.runtime.config.get_config_env()
    owner = owner_hash(pulumi.get_organization(), pulumi.get_project(), pulumi.get_stack())
    return parse(config, stack=pulumi.get_stack(), owner=owner, root=root or Path.cwd())


def parse(config: Mapping[str, str], *, stack: str, owner: str, root: Path) -> Settings:
    """Check a stack's flat configuration (`namespace:key` to text or JSON), as the engine hands it over.

    Raises:
        SettingsError: something is missing, unknown or contradictory; every problem is listed.
    """
    problems = Problems()
    own = {key.partition(":")[2]: value for key, value in config.items() if key.startswith(f"{NAMESPACE}:")}
    for key in sorted(own.keys() - GROUPS.keys() - SCALARS.keys() - SECRETS.keys()):
        problems.add(key, f"no such setting. Known: {', '.join(sorted([*GROUPS, *SCALARS, *SECRETS]))}")
    mode = _choice(own, "mode", ("self-hosted", "cloud"), problems)
    groups: dict[str, Any] = {
        name: read_group(kind, _group(own, name, mode, problems), name, problems) for name, kind in GROUPS.items()
    }
    logins = _logins(own.get("logins") or '["admin"]', problems)
    github_owner = config.get("github:owner", "")
    if not github_owner:
        problems.add("github:owner", 'it is required. Set it with "pulumi config set github:owner <owner>"')
    world = World(_choice(own, "endpoints", ("real", "sandbox"), problems))
    settings = Settings(
        stack=stack,
        owner=owner,
        world=world,
        mode=mode,
        logins=logins,
        github_owner=github_owner,
        connections=_budget(groups, mode, problems),
        database_url=_database_url(own, groups["database"], mode, problems),
        database_ca=own.get("databaseCa", ""),
        redis_url=own.get("redisUrl", ""),
        cloud_api_key=own.get("cloudApiKey", ""),
        **groups,
    )
    _check_rules(settings, problems)
    if settings.fly.app and settings.orchestrator.health_url:  # else reported as missing already
        _check_addresses(settings, config, problems)
    _check_other_stacks(settings, root, problems)
    if problems:
        raise _failure(stack, problems)
    return settings


def _failure(stack: str, problems: Problems) -> SettingsError:
    listed = "\n".join(f"  - {problem}." for problem in problems)
    return SettingsError(f"could not use the configuration of stack {stack!r}:\n{listed}\nMend Pulumi.{stack}.yaml.")


def _choice(own: Mapping[str, str], key: str, choices: tuple[str, ...], problems: Problems) -> Any:
    value = own.get(key) or choices[0]
    if value not in choices:
        problems.add(key, f"{value!r} is not one of {', '.join(choices)}")
        return choices[0]
    return value


def _group(own: Mapping[str, str], name: str, mode: str, problems: Problems) -> Any:
    try:
        raw = json.loads(own.get(name) or "{}")
    except ValueError:
        problems.add(name, "give a group of settings, not a single value")
        return {}
    if name == "fly" and mode == "cloud" and isinstance(raw, dict):
        return {"org": "unused", "app": "unused", **raw}
    return raw


def _logins(raw: str, problems: Problems) -> tuple[str, ...]:
    @dataclass(frozen=True)
    class Holder:
        logins: tuple[str, ...] = setting(("admin",), doc="", pattern=LOGIN_PATTERN)

    reserved = {"orchestrator", "github", "verify"}
    try:
        logins = read_group(Holder, {"logins": json.loads(raw)}, NAMESPACE, problems).logins
    except ValueError:
        problems.add("logins", 'give a list of names, for example ["admin"]')
        return ()
    for login in logins:
        if login in reserved:
            problems.add("logins", f'"{login}" is the name of a consumer\'s own key: choose another')
    if len(set(logins)) != len(logins):
        problems.add("logins", "a name stands twice")
    return logins


def _budget(groups: Mapping[str, Any], mode: str, problems: Problems) -> ConnectionBudget | None:
    if mode == "cloud":
        return None
    processes = groups["vm"].replicas + (1 if groups["services"].separate else 0)
    try:
        return connection_budget(groups["database"].tier, processes)
    except ValueError as error:
        problems.add("vm.replicas", str(error))
        return None


def _database_url(own: Mapping[str, str], database: DatabaseSettings, mode: str, problems: Problems) -> str:
    if mode == "cloud":
        return ""
    raw = own.get("databaseUrl", "")
    if not raw:
        problems.add("databaseUrl", 'it is required. Set it with "pulumi config set --secret databaseUrl"')
        return ""
    try:
        return normalise(raw, require_tls=database.require_tls, has_ca=bool(own.get("databaseCa"))).url
    except DatabaseUrlError as error:
        problems.add("databaseUrl", str(error))
        return ""


def _check_rules(settings: Settings, problems: Problems) -> None:
    keys, vm = settings.keys, settings.vm
    if keys.current not in keys.accepted:
        problems.add("keys.current", f"generation {keys.current} is not in keys.accepted {list(keys.accepted)}")
    if len(set(keys.accepted)) != len(keys.accepted):
        problems.add("keys.accepted", "a generation stands twice")
    if settings.mode == "cloud":
        _check_cloud(settings, problems)
        return
    if vm.memory_mb % 256:
        problems.add("vm.memoryMb", f"{vm.memory_mb} is not a multiple of 256")
    if vm.memory_mb < 512 and vm.swap_mb < 256:
        problems.add("vm.swapMb", "256 MB of memory without swap never becomes healthy: set at least 256, better 512")
    if vm.replicas > 1 and not settings.services.separate:
        problems.add("vm.replicas", f"{vm.replicas} replicas need services.separate: true and the secret redisUrl")
    if settings.services.separate and not settings.redis_url:
        problems.add("redisUrl", "services.separate needs it: set it with pulumi config set --secret redisUrl")
    if settings.redis_url and not settings.redis_url.startswith(("redis://", "rediss://")):
        problems.add("redisUrl", "it must start with redis:// or rediss://")
    if settings.image.reference is None and not settings.image.build:
        problems.add("image.reference", "image.build is false, so an image reference is required")


def _check_cloud(settings: Settings, problems: Problems) -> None:
    if not settings.cloud.api_url:
        problems.add("cloud.apiUrl", "mode: cloud needs it (https://api.prefect.cloud/api/accounts/…/workspaces/…)")
    if not settings.cloud_api_key.startswith("pnu_"):
        problems.add("cloudApiKey", "mode: cloud needs a Prefect Cloud key, which starts with pnu_")


def _check_addresses(settings: Settings, config: Mapping[str, str], problems: Problems) -> None:
    addresses = {"orchestrator.healthUrl": settings.orchestrator.health_url}
    if settings.mode == "cloud":
        addresses["cloud.apiUrl"] = settings.api_url
    else:
        addresses["fly.urlTemplate"] = settings.server_url
    # The provider's own variable counts where the stack is silent.
    github = config.get("github:baseUrl") or os.environ.get("GITHUB_BASE_URL", "")
    if github or settings.world is World.SANDBOX:
        addresses["github:baseUrl"] = github
    if settings.mode == "self-hosted" and settings.image.reference is None:
        registry = settings.image.registry
        if registry != "registry.fly.io" or settings.world is World.SANDBOX:
            addresses["image.registry"] = f"https://{registry}"
    for key, url in addresses.items():
        try:
            require_url(url, settings.world, key)
        except WrongWorldError as error:
            problems.append(str(error).rstrip("."))
    for service in _services(settings):
        try:
            base_url(service, settings.world)
        except WrongWorldError as error:
            problems.append(str(error).rstrip("."))


def _services(settings: Settings) -> Iterable[Service]:
    """The APIs that this stack uses; a shell that points one elsewhere is refused before anything is done."""
    yield from (FLY_MACHINES, FLY_API)
    if "workflow" in {settings.orchestrator.redeploy, settings.orchestrator.rollback}:
        yield GITHUB
    if settings.mode == "self-hosted" and settings.uptime.enabled:
        yield BETTER_STACK


def _claims(groups: Mapping[str, Any], owner: str) -> Iterable[tuple[str, str]]:
    """What only one stack may claim, with the setting that claims it."""
    github = groups.get("github") or {}
    target = "/".join([owner, str(github.get("repository")), str(github.get("environment") or "")]).lower()
    yield "github.repository", f"GitHub secrets of {target.rstrip('/')}"
    yield "orchestrator.app", f"orchestrator {(groups.get('orchestrator') or {}).get('app')}"
    app = (groups.get("fly") or {}).get("app")
    if app:
        yield "fly.app", f"Fly app {app}"


def _check_other_stacks(settings: Settings, root: Path, problems: Problems) -> None:
    """Refuse what another stack file of this repository and world claims already.

    Databases cannot be compared here, because their URLs are encrypted per stack.
    """
    mine = {
        "github": {"repository": settings.github.repository, "environment": settings.github.environment},
        "orchestrator": {"app": settings.orchestrator.app},
        "fly": {"app": settings.fly.app if settings.mode == "self-hosted" else None},
    }
    claimed = {claim: key for key, claim in _claims(mine, settings.github_owner)}
    for path in sorted(root.glob("Pulumi.*.yaml")):
        stack = path.name.removeprefix("Pulumi.").removesuffix(".yaml")
        config = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("config") or {}
        if stack == settings.stack or (config.get(f"{NAMESPACE}:endpoints") or "real") != settings.world.value:
            continue
        other = {name: config.get(f"{NAMESPACE}:{name}") for name in GROUPS}
        for _key, claim in _claims(other, str(config.get("github:owner"))):
            if claim in claimed:
                problems.add(
                    claimed[claim], f"stack {stack!r} has the same ({claim}): two stacks would undo each other"
                )


def markdown_table() -> str:
    """The README's configuration table."""
    lines = ["| setting | default | meaning |", "|---|---|---|"]
    lines += [f"| `{key}` | `{default}` | {doc} |" for key, (default, doc) in SCALARS.items()]
    for name, kind in GROUPS.items():
        lines += [f"| `{row.key}` | `{row.default}` | {row.doc} |" for row in rows(kind, name)]
    lines += [f"| `{key}` | secret | {doc} |" for key, doc in SECRETS.items()]
    return "\n".join(lines)


def schema() -> dict[str, Any]:
    """The JSON schema of the keys below `prefect-fly:` in a stack file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "prefect-fly stack settings",
        "type": "object",
        "properties": {
            **{key: {"description": doc} for key, (_default, doc) in SCALARS.items()},
            **{key: {"description": doc} for key, doc in SECRETS.items()},
            **{name: json_schema(kind) for name, kind in GROUPS.items()},
        },
        "additionalProperties": False,
    }


def write_docs(docs: Path) -> None:
    """Write the configuration page and the JSON schema below `docs`."""
    intro = (
        "# Configuration\n\nNamespace `prefect-fly`. Set with `pulumi config set --path prefect-fly:<setting> "
        "<value>`, secrets with\n`pulumi config set --secret <setting>`, and lists whole, in the stack's file: a path "
        "to one item would\nleave holes for the defaults. This table and [the JSON schema](settings.schema.json) are "
        "made by `python -m settings`\nfrom `settings/groups.py`.\n\n"
    )
    (docs / "configuration.md").write_text(f"{intro}{markdown_table()}\n", encoding="utf-8")
    (docs / "settings.schema.json").write_text(json.dumps(schema(), indent=2) + "\n", encoding="utf-8")
