"""What the address of an alert channel may look like, and the notification block that it becomes.

The block types are Prefect's own (prefect/blocks/notifications.py, 3.8.8). An address is a secret: no reason given here
repeats it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

from settings.server_groups import ChannelSettings

# Reached at an address of the person's own; all others are at their vendor's, which a sandbox has not.
ANYWHERE = ("webhook", "mattermost")


class AddressError(ValueError):
    """An address does not fit its channel; the text says what one looks like, and never holds it."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """A notification block.

    Attributes:
        slug: of its block type.
        data: its values, most of them secret.
        url: where it sends to, when that is an address of the person's own.
    """

    slug: str
    data: Mapping[str, Any] = field(repr=False)
    url: str = field(default="", repr=False)


def block_of(name: str, channel: ChannelSettings, address: str) -> Block:
    """Return the block of a channel.

    Raises:
        AddressError: the address does not fit its kind.
    """
    return _KINDS[channel.kind](name, channel, address.strip())


def _slack(_name: str, _channel: ChannelSettings, address: str) -> Block:
    if not re.fullmatch(r"https://hooks\.slack(?:-gov)?\.com/services/\w+/\w+/\w+/?", address):
        raise AddressError("a Slack address looks like https://hooks.slack.com/services/T…/B…/…")
    return Block(slug="slack-webhook", data={"url": address})


def _teams(_name: str, _channel: ChannelSettings, address: str) -> Block:
    parts = urlsplit(address)
    if parts.scheme != "https" or "/workflows/" not in parts.path or "sig=" not in parts.query:
        raise AddressError(
            "a Teams address is that of a workflow: https://…/workflows/…/triggers/manual/paths/invoke?…"
        )
    return Block(slug="ms-teams-webhook", data={"url": address})


def _discord(_name: str, _channel: ChannelSettings, address: str) -> Block:
    found = re.fullmatch(r"https://(?:\w+\.)?discord(?:app)?\.com/api/webhooks/(\d+)/([\w-]+)/?", address)
    if not found:
        raise AddressError("a Discord address looks like https://discord.com/api/webhooks/<id>/<token>")
    return Block(slug="discord-webhook", data={"webhook_id": found[1], "webhook_token": found[2]})


def _mattermost(_name: str, _channel: ChannelSettings, address: str) -> Block:
    parts = _url(address)
    path, hooks, token = (parts.path if parts else "").rstrip("/").rpartition("/hooks/")
    if parts is None or not hooks or not re.fullmatch(r"[A-Za-z0-9]{24,32}", token):
        raise AddressError("a Mattermost address looks like https://chat.example.com/hooks/<token>")
    secure = parts.scheme == "https"
    data: dict[str, Any] = {
        "hostname": parts.hostname,
        "port": parts.port or (443 if secure else 80),
        "secure": secure,
        "token": token,
    }
    return Block(slug="mattermost-webhook", data=data | ({"path": path} if path else {}), url=address)


def _pagerduty(_name: str, _channel: ChannelSettings, address: str) -> Block:
    integration, _at, api = address.partition("@")
    if not re.fullmatch(r"\w{16,}", integration) or not re.fullmatch(r"[\w+-]{8,}", api):
        raise AddressError(
            "a PagerDuty address is the integration key of the service and an API key, as <key>@<API key>"
        )
    return Block(slug="pager-duty-webhook", data={"integration_key": integration, "api_key": api})


def _sendgrid(_name: str, channel: ChannelSettings, address: str) -> Block:
    if not re.fullmatch(r"SG\.[\w.-]{16,}", address):
        raise AddressError("the address of a SendGrid channel is its API key, which starts with SG.")
    data = {"api_key": address, "sender_email": channel.sender, "to_emails": list(channel.recipients)}
    return Block(slug="sendgrid-email", data=data)


def _webhook(name: str, _channel: ChannelSettings, address: str) -> Block:
    if _url(address) is None:
        raise AddressError("the address of a webhook is a whole http(s) URL")
    # The block's URL is shown in the UI, its secrets are not.
    data = {
        "name": name,
        "method": "POST",
        "url": "{{address}}",
        "json_data": {"subject": "{{subject}}", "body": "{{body}}", "channel": "{{name}}"},
        "secrets": {"address": address},
    }
    return Block(slug="custom-webhook", data=data, url=address)


def _url(address: str) -> SplitResult | None:
    parts = urlsplit(address)
    good = parts.scheme in {"http", "https"} and parts.hostname and not re.search(r"\s", address)
    return parts if good else None


_KINDS: Mapping[str, Callable[[str, ChannelSettings, str], Block]] = {
    "slack": _slack,
    "teams": _teams,
    "discord": _discord,
    "mattermost": _mattermost,
    "pagerduty": _pagerduty,
    "sendgrid": _sendgrid,
    "webhook": _webhook,
}
