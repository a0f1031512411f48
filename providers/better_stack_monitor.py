"""betterstack:Monitor: the one Better Stack monitor of a URL.

The URL is the identity: a monitor of this URL that exists already is adopted, because a second one would only alarm
twice. `status` (up, down, …) is no part of the state: it changes by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict, Unpack

import pulumi
from pulumi.dynamic import (
    CheckFailure,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    UpdateResult,
)

from clients import better_stack
from clients.better_stack import BetterStackClient, BetterStackNotFoundError, BetterStackUnclearError
from clients.endpoints import World
from providers.lifecycle import Props, Provider, plain, require, unknown

_REPLACE_ONLY = ("endpoints", "url")
# Input → attribute of the API; also the order in which a drift is shown.
_ATTRIBUTES: Mapping[str, str] = {
    "name": "pronounceable_name",
    "check_frequency": "check_frequency",
    "regions": "regions",
    "request_timeout": "request_timeout",
    "ssl_expiration": "ssl_expiration",
}
# What no setting changes; in the state only if changed by hand. GET: a HEAD of Prefect's health paths gets 401.
_FIXED: Mapping[str, Any] = {"monitor_type": "status", "http_method": "get", "paused": False}
# Seconds that Better Stack accepts for an HTTP check (its Terraform provider's documentation).
_REQUEST_TIMEOUTS = (2, 3, 5, 10, 15, 30, 45, 60)


class MonitorInputs(TypedDict):
    """What a monitor is told.

    Attributes:
        endpoints: real or sandbox.
        url: the address that is polled with GET.
        name: shown in Better Stack and in its alarms.
        check_frequency: seconds between two checks.
        regions: any of us, eu, as, au.
        request_timeout: seconds.
        ssl_expiration: days before the certificate ends at which to warn; None leaves it to the account's default.
    """

    endpoints: pulumi.Input[str]
    url: pulumi.Input[str]
    name: pulumi.Input[str]
    check_frequency: pulumi.Input[int]
    regions: pulumi.Input[list[str]]
    request_timeout: pulumi.Input[int]
    ssl_expiration: NotRequired[pulumi.Input[int] | None]


class MonitorProvider(Provider):
    """Keeps the monitor of one URL as stated."""

    serialize_as_secret_always = False

    def failures(self, _olds: Props, news: Props) -> list[CheckFailure]:
        """Refuse what the API would refuse, before anything is created."""
        failures, timeout = require(news, {"endpoints": str, "url": str, "name": str}), news.get("request_timeout")
        if not unknown(timeout) and timeout not in _REQUEST_TIMEOUTS:
            text = f"{timeout} seconds is none of Better Stack's {_REQUEST_TIMEOUTS}"
            failures.append(CheckFailure("request_timeout", text))
        return failures

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Compare with the last outputs. A removed setting is a change; an unknown value never replaces."""
        replaces = [key for key in _REPLACE_ONLY if not unknown(news.get(key)) and olds.get(key) != news.get(key)]
        return DiffResult(changes=bool(replaces or _changed(olds, news)), replaces=replaces, delete_before_replace=True)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Adopt the monitor of this URL, or create it.

        Raises:
            BetterStackError: neither was possible.
        """
        props = plain(props)
        client, url = _client(props), str(props["url"])
        existing, attributes = client.find(url), {**_FIXED, **_wanted(props)}
        if not existing:
            try:
                created = client.create({"url": url, **attributes})
            except BetterStackUnclearError:
                existing = client.find(url)
                if not existing:
                    raise
            else:
                return CreateResult(id_=created.id, outs=_outs(props, created))
        adopted = client.update(existing[0].id, attributes)
        return CreateResult(id_=adopted.id, outs=_outs(props, adopted))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Derive inputs and outputs from the API; a monitor that is proved gone is dropped.

        Raises:
            BetterStackError: the API did not answer, or refused the token.
        """
        client = _client(props)
        try:
            monitor = client.get(id_)
        except BetterStackNotFoundError:
            client.check_token()
            return ReadResult(id_=None, outs={})
        seen = {key: _seen(key, props.get(key), monitor.attributes) for key in _ATTRIBUTES}
        seen |= {key: monitor.attributes[key] for key in _altered(monitor.attributes)}
        inputs = {"endpoints": props["endpoints"], "url": monitor.url}
        inputs |= {key: value for key, value in seen.items() if value is not None}
        return ReadResult(id_=id_, outs={**inputs, "monitor_id": id_}, inputs=inputs)

    def update(self, id_: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Change in place what differs, and only that.

        Raises:
            BetterStackError: it was not changed.
        """
        news = plain(news)
        changed = {_ATTRIBUTES.get(key, key): news.get(key, _FIXED.get(key)) for key in _changed(olds, news)}
        return UpdateResult(outs=_outs(news, _client(news).update(id_, changed)))

    def delete(self, id_: str, props: dict[str, Any]) -> None:
        """Delete the monitor; one that is proved gone is done.

        Raises:
            BetterStackError: it may still be there.
        """
        client = _client(props)
        try:
            client.delete(id_)
        except BetterStackNotFoundError:
            client.check_token()


def _client(props: Mapping[str, Any]) -> BetterStackClient:
    return BetterStackClient.from_environment(World(props["endpoints"]))


def _wanted(props: Mapping[str, Any]) -> dict[str, Any]:
    return {attribute: props[key] for key, attribute in _ATTRIBUTES.items() if props.get(key) is not None}


def _outs(props: Mapping[str, Any], monitor: better_stack.Monitor) -> dict[str, Any]:
    keys = (*_REPLACE_ONLY, *_ATTRIBUTES)
    return {key: props[key] for key in keys if props.get(key) is not None} | {"monitor_id": monitor.id}


def _seen(key: str, ours: Any, attributes: Mapping[str, Any]) -> Any:
    """Return what the API says of `key`, in our spelling when it means the same; what we do not set is no drift."""
    theirs = attributes.get(_ATTRIBUTES[key], ours)
    return ours if ours is None or _same(key, ours, theirs) else theirs


def _changed(olds: Mapping[str, Any], news: Mapping[str, Any]) -> list[str]:
    return [*(key for key in _ATTRIBUTES if not _same(key, olds.get(key), news.get(key))), *_altered(olds)]


def _altered(attributes: Mapping[str, Any]) -> list[str]:
    """Return the fixed attributes that somebody changed by hand; one that is not told is as we set it."""
    return [key for key, ours in _FIXED.items() if not _same(key, attributes.get(key, ours), ours)]


def _same(key: str, old: Any, new: Any) -> bool:
    if key == "regions" and isinstance(old, list) and isinstance(new, list):
        return sorted(map(str, old)) == sorted(map(str, new))
    return bool(old == new or (key == "http_method" and str(old).lower() == new))


class Monitor(Resource, module="betterstack", name="Monitor"):
    """An uptime monitor; its settings are MonitorInputs.

    Attributes:
        monitor_id: Better Stack's id.
    """

    endpoints: pulumi.Output[str]
    url: pulumi.Output[str]
    name: pulumi.Output[str]
    check_frequency: pulumi.Output[int]
    regions: pulumi.Output[list[str]]
    request_timeout: pulumi.Output[int]
    ssl_expiration: pulumi.Output[int | None]
    monitor_id: pulumi.Output[str]

    def __init__(
        self, resource_name: str, *, opts: pulumi.ResourceOptions | None = None, **inputs: Unpack[MonitorInputs]
    ) -> None:
        opts = pulumi.ResourceOptions.merge(pulumi.ResourceOptions(delete_before_replace=True), opts)
        super().__init__(MonitorProvider(), resource_name, {**inputs, "monitor_id": None}, opts)
