"""Rules about what the stack keeps on the Prefect server: channels with their addresses, and names Prefect takes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress

from clients.endpoints import World, WrongWorldError, require_url
from settings.alert_channels import ANYWHERE, AddressError, block_of
from settings.draft import Draft, UnusableError
from settings.fly import FlySettings
from settings.groups import GeneralSettings
from settings.problems import Problems
from settings.server_groups import AlertSettings, ChannelSettings, ConcurrencyLimitSettings

_CHANNEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
_VARIABLE = re.compile(r"[a-z0-9_-]{1,255}")
# Prefect's own rule for names: none of these.
_NAME = re.compile(r"[^/%&<>]{1,200}")
_VARIABLE_CHARACTERS = 5000
_HOW = 'Set it with "pulumi config set --secret --path prefect-fly:alertAddresses.{} <address>"'


def addresses(draft: Draft, problems: Problems) -> dict[str, str]:
    """Return the address of each channel; what cannot be read is a problem."""
    text = draft.secrets["alertAddresses"]
    try:
        read = json.loads(text or "{}")
    except (ValueError, RecursionError):
        read = None
    if isinstance(read, dict) and all(isinstance(value, str) and value for value in read.values()):
        return {str(name): str(value) for name, value in read.items()}
    problems.add("alertAddresses", f"give names with an address each. {_HOW.format('<channel>')}")
    return {}


def check(draft: Draft, given: Mapping[str, str], problems: Problems) -> None:
    """Check channels and names."""
    with suppress(UnusableError):
        _channels(draft, given, problems)
    with suppress(UnusableError):
        _names(draft, problems)
    if not draft.cloud:
        with suppress(UnusableError):
            _reach(draft, problems)


def _channels(draft: Draft, given: Mapping[str, str], problems: Problems) -> None:
    channels = draft.get(AlertSettings).channels
    world = World(draft.get(GeneralSettings).endpoints)
    for name in sorted(given.keys() - channels.keys()):
        problems.add(f"alertAddresses.{name}", f"there is no alerts.channels.{name}: add the channel, or remove this")
    for name, channel in channels.items():
        if not _CHANNEL.fullmatch(name):
            reason = "a channel's name has 1 to 32 lower-case letters, digits and dashes: rename it"
            problems.add(f"alerts.channels.{name}", reason)
        elif reason := _email(channel):
            problems.add(f"alerts.channels.{name}", reason)
        elif name not in given:
            problems.add(f"alertAddresses.{name}", f"it is required. {_HOW.format(name)}")
        elif reason := _address(name, channel, given[name], world):
            problems.add(f"alertAddresses.{name}", reason)


def _email(channel: ChannelSettings) -> str:
    stated = bool(channel.sender), bool(channel.recipients)
    if channel.kind == "sendgrid" and stated != (True, True):
        return "kind sendgrid needs sender and recipients"
    if channel.kind != "sendgrid" and stated != (False, False):
        return f"sender and recipients are for kind sendgrid, not {channel.kind}: remove them"
    return ""


def _address(name: str, channel: ChannelSettings, address: str, world: World) -> str:
    try:
        block = block_of(name, channel, address)
    except AddressError as reason:
        return str(reason)
    if channel.kind in ANYWHERE:
        try:
            require_url(block.url, world, "address")
        except WrongWorldError:  # its text holds the address
            where = "this machine" if world is World.SANDBOX else "another machine"
            return f"the stack states endpoints: {world.value}, so the address must be on {where}"
    elif world is World.SANDBOX:
        return (
            f"the stack states endpoints: sandbox, which does not talk to {channel.kind}: use {' or '.join(ANYWHERE)}"
        )
    return ""


def _reach(draft: Draft, problems: Problems) -> None:
    general, limits = draft.get(GeneralSettings), draft.get(ConcurrencyLimitSettings)
    stated = {
        "alerts.channels": draft.get(AlertSettings).channels,
        "variables": general.variables,
        "workPools": general.work_pools,
        "concurrencyLimits": {**limits.everywhere, **limits.tags},
    }
    if draft.get(FlySettings).private:
        reason = "the program keeps it over the server's address, which it does not reach with fly.private: remove it"
        for key in (key for key, what in stated.items() if what):
            problems.add(key, reason)


def _names(draft: Draft, problems: Problems) -> None:
    general, limits = draft.get(GeneralSettings), draft.get(ConcurrencyLimitSettings)
    for name, value in general.variables.items():
        if not _VARIABLE.fullmatch(name):
            problems.add(
                f"variables.{name}", "a variable's name has lower-case letters, digits, _ and - only: rename it"
            )
        if len(json.dumps(value)) > _VARIABLE_CHARACTERS:
            problems.add(f"variables.{name}", f"a value has at most {_VARIABLE_CHARACTERS} characters as JSON")
    for name in general.work_pools:
        if not _NAME.fullmatch(name) or name.lower().startswith("prefect"):
            reason = 'a work pool\'s name has none of / % & < > and does not begin with "prefect": rename it'
            problems.add(f"workPools.{name}", reason)
    for kind, names in (("global", limits.everywhere), ("tags", limits.tags)):
        for name in names:
            if not _NAME.fullmatch(name) or name.startswith("tag:"):
                reason = 'a limit\'s name has none of / % & < > and does not begin with "tag:": rename it'
                problems.add(f"concurrencyLimits.{kind}.{name}", reason)
