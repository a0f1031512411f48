"""What `status` needs to know of a stack: its world, names and addresses, from its plain settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from clients.endpoints import World
from components.alert_messages import automation_name, message_of, trial_message
from ops.stack_settings import config_of, draft_of, flags_from

if TYPE_CHECKING:
    from settings.server_groups import AlertSettings

_ADVICE = 'See "pulumi stack ls", and docs/toolchain.md for a shell in which it works.'


@dataclass(frozen=True, kw_only=True)
class StatedStack:
    """A stack as its configuration states it.

    Attributes:
        server_url: empty with mode: cloud, as server_app is.
        domain: name of one's own; empty without one.
        reach: `machine` when only the server's own machines reach it.
        monitor_url: what Better Stack polls, empty when it does not.
        channels: kind of each alert channel, by name.
        alerts: names of the automations that the stack keeps on the server.
        connected: false when the orchestrator is detached on purpose.
    """

    name: str
    world: World
    mode: str
    cloud_url: str
    server_app: str
    server_url: str
    orchestrator_app: str
    health_url: str
    connected: bool
    redeploy: str
    repository: str
    workflow: str
    ref: str
    domain: str
    reach: str
    monitor_url: str
    channels: Mapping[str, str]
    alerts: tuple[str, ...]

    @classmethod
    def named(cls, name: str) -> Self:
        """Read the configuration of stack `name` through the Pulumi CLI.

        Raises:
            OpsError: the CLI is missing, does not know the stack, or a setting is wrong.
        """
        from settings.groups import (  # noqa: PLC0415 - the rollback's verbs must not need pydantic
            CloudSettings,
            GithubSettings,
            OrchestratorSettings,
            UptimeSettings,
        )
        from settings.server_groups import AlertSettings  # noqa: PLC0415 - as above

        draft = draft_of(name, config_of(name, _ADVICE))
        flags = flags_from(draft)
        orchestrator, uptime = draft.get(OrchestratorSettings), draft.get(UptimeSettings)
        server_url, alerts = flags.get("server_url", ""), draft.get(AlertSettings)
        return cls(
            name=name,
            world=World(flags["endpoints"]),
            mode="cloud" if draft.cloud else "self-hosted",
            cloud_url=draft.get(CloudSettings).api_url or "" if draft.cloud else "",
            server_app=flags.get("server_app", ""),
            server_url=server_url,
            orchestrator_app=orchestrator.app,
            health_url=orchestrator.health_url,
            connected=orchestrator.connected,
            redeploy=orchestrator.redeploy,
            repository=flags.get("repository", ""),
            workflow=flags["workflow"],
            ref=draft.get(GithubSettings).ref,
            domain=flags.get("domain", ""),
            reach=flags.get("reach", ""),
            monitor_url=f"{server_url}{uptime.path}" if server_url and uptime.enabled else "",
            channels={channel: stated.kind for channel, stated in alerts.channels.items()},
            alerts=tuple(_alerts(alerts, name.rpartition("/")[2])),
        )


def _alerts(alerts: AlertSettings, stack: str) -> Iterator[str]:
    """Yield the names of the automations that the stack keeps."""
    for channel, stated in alerts.channels.items():
        minutes = {"stuck_minutes": alerts.stuck_minutes, "silent_minutes": alerts.silent_minutes}
        messages = [message_of(heard, ui_url="", **minutes) for heard in stated.hears]
        messages += [trial_message("", channel, stack)] if alerts.test else []
        yield from (automation_name(channel, message.title, stack) for message in messages)
