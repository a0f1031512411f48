"""A stack's settings: the only reader of its configuration, as one frozen tree.

    groups        the models: names, defaults, limits, sentences; built on `group`, that of Fly in `fly`
    draft         reads a configuration group by group
    rules         what no single setting can check
    server_rules  the same, of what the stack keeps on the Prefect server
    other_stacks  what another stack file of the repository claims already
    alert_channels  addresses of alerts, and the blocks they become
    database      connection strings and connection budgets
    docs          the configuration page and the JSON schema, made from the groups

Everything that can be known before an API is asked is checked here, and all problems are reported together, each with
the key it belongs to. Secrets are kept out of every `repr`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pulumi
from pydantic import JsonValue

from clients.endpoints import World
from clients.names import owner_of
from settings import draft as drafts
from settings import other_stacks, rules, server_rules
from settings.database import ConnectionBudget
from settings.draft import NAMESPACE, Draft
from settings.fly import FlySettings
from settings.groups import (
    AuditSettings,
    CloudSettings,
    DatabaseSettings,
    GeneralSettings,
    GithubSettings,
    ImageSettings,
    KeySettings,
    LoginSettings,
    OrchestratorSettings,
    RetentionSettings,
    ServicesSettings,
    TimeoutSettings,
    UptimeSettings,
    VmSettings,
)
from settings.problems import Problems
from settings.server_groups import AlertSettings, ConcurrencyLimitSettings, WorkPoolSettings

_CLOUD_API = re.compile(r"https://api\.prefect\.cloud/api/accounts/([^/]+)/workspaces/([^/]+)")

__all__ = ["NAMESPACE", "Settings", "SettingsError", "load", "parse"]


class SettingsError(pulumi.RunError):
    """The stack's configuration cannot be used; the text lists every problem."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything a stack states, checked. `fly` and `connections` are None with Prefect Cloud."""

    stack: str
    owner: str
    world: World
    mode: Literal["self-hosted", "cloud"]
    logins: tuple[LoginSettings, ...]
    fly: FlySettings | None
    vm: VmSettings
    image: ImageSettings
    database: DatabaseSettings
    services: ServicesSettings
    keys: KeySettings
    retention: RetentionSettings
    audit: AuditSettings
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
    alerts: AlertSettings
    variables: Mapping[str, JsonValue]
    work_pools: Mapping[str, WorkPoolSettings]
    concurrency_limits: ConcurrencyLimitSettings
    alert_addresses: Mapping[str, str] = field(repr=False)

    @property
    def strategy(self) -> Literal["bluegreen", "rolling"]:
        """How a machine is updated."""
        if self.vm.strategy:
            return self.vm.strategy
        return "bluegreen" if self.connections and self.connections.one_more else "rolling"

    @property
    def strategy_reason(self) -> str:
        """How a machine is updated, and why so, for people."""
        what = {
            "bluegreen": "bluegreen: a new machine is made beside the old one, which goes when the new one serves",
            "rolling": "rolling: a machine stops and starts again, and answers nobody meanwhile",
        }[self.strategy]
        if self.vm.strategy:
            return f"{what} (vm.strategy)"
        fits = "has connections" if self.strategy == "bluegreen" else "has too few connections"
        return f"{what} (the database {fits} for one more process)"

    @property
    def server_url(self) -> str:
        """Public address of our own server, without a trailing slash; empty with Prefect Cloud."""
        return self.fly.server_url if self.fly else ""

    @property
    def api_url(self) -> str:
        """What PREFECT_API_URL is set to."""
        return f"{self.fly.server_url}/api" if self.fly else (self.cloud.api_url or "").rstrip("/")

    @property
    def private(self) -> bool:
        """Whether the server is reached inside the Fly organisation's network alone; false with Prefect Cloud."""
        return self.fly is not None and self.fly.private

    @property
    def ui_url(self) -> str:
        """What an address in the UI begins with; empty where it is not known."""
        if self.fly:
            return self.fly.server_url
        found = _CLOUD_API.fullmatch(self.api_url)
        return f"https://app.prefect.cloud/account/{found[1]}/workspace/{found[2]}" if found else ""

    @property
    def server_name(self) -> str:
        """The name of the server that the stack uses: its Fly app's, or the workspace's id."""
        return self.fly.app if self.fly else self.api_url.rpartition("/")[2]

    @property
    def states_objects(self) -> bool:
        """Tell whether the stack states variables, work pools or limits."""
        limits = self.concurrency_limits
        return bool(self.variables or self.work_pools or limits.everywhere or limits.tags)

    @property
    def keeps_something(self) -> bool:
        """Tell whether the stack keeps anything on the server that it uses."""
        return bool(self.alerts.channels) or self.states_objects

    @property
    def github_repository(self) -> str:
        """The repository with its owner, as owner/name."""
        return f"{self.github_owner}/{self.github.repository}"

    @property
    def machine_regions(self) -> tuple[str, ...]:
        """The region of each API machine, in order; empty with Prefect Cloud."""
        if self.fly is None:
            return ()
        choices = self.vm.regions or (self.fly.region,)
        return tuple(choices[index % len(choices)] for index in range(self.vm.replicas))


def load(root: Path | None = None) -> Settings:
    """Read and check the settings of the current stack.

    Raises:
        SettingsError: something is missing, unknown or contradictory; every problem is listed.
    """
    config = dict(pulumi.runtime.config.CONFIG.get()) or pulumi.runtime.config.get_config_env()
    owner = owner_of(pulumi.get_organization(), pulumi.get_project(), pulumi.get_stack())
    return parse(config, stack=pulumi.get_stack(), owner=owner, root=root or Path.cwd())


def parse(config: Mapping[str, str], *, stack: str, owner: str, root: Path) -> Settings:
    """Check a stack's flat configuration (`namespace:key` to text or JSON), as the engine hands it over.

    Raises:
        SettingsError: something is missing, unknown or contradictory; every problem is listed.
    """
    problems = Problems()
    draft = drafts.read(config, problems)
    connections = rules.budget(draft, problems)
    database_url = rules.database_url(draft, problems)
    rules.check(draft, problems)
    addresses = server_rules.addresses(draft, problems)
    server_rules.check(draft, addresses, problems)
    other_stacks.check(draft, stack, root, problems)
    if problems:
        raise _failure(stack, problems)
    return _settings(draft, stack, owner, connections, database_url, addresses)


def _settings(
    draft: Draft,
    stack: str,
    owner: str,
    connections: ConnectionBudget | None,
    database_url: str,
    addresses: Mapping[str, str],
) -> Settings:
    general = draft.get(GeneralSettings)
    return Settings(
        stack=stack,
        owner=owner,
        world=World(general.endpoints),
        mode=general.mode,
        logins=general.logins,
        fly=None if draft.cloud else draft.get(FlySettings),
        vm=draft.get(VmSettings),
        image=draft.get(ImageSettings),
        database=draft.get(DatabaseSettings),
        services=draft.get(ServicesSettings),
        keys=draft.get(KeySettings),
        retention=draft.get(RetentionSettings),
        audit=draft.get(AuditSettings),
        orchestrator=draft.get(OrchestratorSettings),
        github=draft.get(GithubSettings),
        github_owner=draft.foreign["github:owner"],
        uptime=draft.get(UptimeSettings),
        timeouts=draft.get(TimeoutSettings),
        cloud=draft.get(CloudSettings),
        connections=connections,
        database_url=database_url,
        database_ca=draft.secrets["databaseCa"],
        redis_url=draft.secrets["redisUrl"],
        cloud_api_key=draft.secrets["cloudApiKey"],
        alerts=draft.get(AlertSettings),
        variables=general.variables,
        work_pools=general.work_pools,
        concurrency_limits=draft.get(ConcurrencyLimitSettings),
        alert_addresses=addresses,
    )


def _failure(stack: str, problems: Problems) -> SettingsError:
    listed = "\n".join(f"  - {problem}." for problem in problems)
    return SettingsError(f"could not use the configuration of stack {stack!r}:\n{listed}\nCorrect Pulumi.{stack}.yaml.")
