"""The groups about what the stack keeps on the Prefect server: alerts and concurrency limits, and one work pool."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from settings.group import Group, setting

Heard = Literal["failed", "crashed", "late", "stuck", "deployment-not-ready", "work-pool-not-ready", "silent"]


class ChannelSettings(Group):
    """One channel of alerts; its address is in the secret alertAddresses."""

    kind: Literal["slack", "teams", "discord", "mattermost", "pagerduty", "sendgrid", "webhook"] = setting(
        doc="what the channel is"
    )
    hears: tuple[Heard, ...] = setting(
        doc="what it hears: runs that failed, crashed, are late or stuck, and what is not polled",
        min_length=1,
        json_schema_extra={"uniqueItems": True},
    )
    sender: str | None = setting(None, doc="sender of the emails; sendgrid only", pattern=r"^[^@\s]+@[^@\s]+$")
    recipients: tuple[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")], ...] = setting(
        (), doc="who gets the emails; sendgrid only"
    )


class AlertSettings(Group):
    """Who is told what, by the Prefect server itself."""

    channels: dict[str, ChannelSettings] = setting({}, doc="where messages go, by a name of your own")
    stuck_minutes: int = setting(60, doc="minutes a run may be pending or running before it is stuck", ge=1, le=43200)
    silent_minutes: int = setting(
        10, doc="minutes a deployment may go without being polled before it is silent", ge=1, le=43200
    )
    test: bool = setting(False, doc="let `up` prove each new or changed channel with one test message")


class WorkPoolSettings(Group):
    """One work pool on the server."""

    type: str = setting("process", doc="type of its workers", min_length=1)
    description: str = setting("", doc="shown in the UI", max_length=1000)
    concurrency_limit: int | None = setting(None, doc="runs at a time", ge=0)
    paused: bool = setting(False, doc="hand out no runs")


class GlobalLimitSettings(Group):
    """One global concurrency limit."""

    limit: int = setting(doc="slots", ge=0)
    slot_decay_per_second: float = setting(0.0, doc="slots that become free each second, for a rate limit", ge=0)
    active: bool = setting(True, doc="false lets everybody through")


class ConcurrencyLimitSettings(Group):
    """Limits on the server."""

    # "global" is a word of Python's own.
    everywhere: dict[str, GlobalLimitSettings] = setting({}, alias="global", doc="global concurrency limits, by name")
    tags: dict[str, Annotated[int, Field(ge=0)]] = setting({}, doc="task runs at a time, by their tag")
