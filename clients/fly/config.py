"""Machine configs as values: our marks on them, and comparing what we want with what the API shows.

Pure functions. The API spells some values differently from what it was sent and fills in defaults; neither is a
difference. What somebody else changed or added is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from clients.fly.model import GROUP_KEY, NAME_KEY, OWNER_KEY, PLATFORM_KEY
from clients.shapes import record, records

_UNITS = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
# Keys whose values are durations: Go strings, or bare numbers of nanoseconds.
_DURATION_KEYS = frozenset({"interval", "timeout", "grace_period"})
_AUTOSTOP = {False: "off", True: "stop"}
# Maps whose keys are ours to list: one that somebody added is a difference.
_OWN_MAPS = frozenset({"env", "checks"})
# Sections that change what runs when somebody adds them, and that the API does not fill in by itself.
_WATCHED = ("services", "checks", "mounts", "files", "processes", "containers", "statics", "schedule", "standbys")
_EMPTY: tuple[Any, ...] = (None, {}, [], "")


def with_marks(config: Mapping[str, Any], *, name: str, owner: str, region: str) -> dict[str, Any]:
    """Return `config` with what flyctl needs to manage the machine and with our own marks.

    Without the platform version and the process group in its metadata a machine is "detached": fly deploy, scale and
    secrets skip it. The two variables are what flyctl sets on every machine.
    """
    marked: dict[str, Any] = normalised(config)
    metadata = dict(marked.get("metadata") or {})
    metadata.setdefault(PLATFORM_KEY, "v2")
    metadata.setdefault(GROUP_KEY, "app")
    metadata |= {OWNER_KEY: owner, NAME_KEY: name}
    env = {"FLY_PROCESS_GROUP": metadata[GROUP_KEY], "PRIMARY_REGION": region} | dict(marked.get("env") or {})
    return marked | {"metadata": metadata, "env": env}


def without_marks(marked: Mapping[str, Any], config: Mapping[str, Any], seen: Mapping[str, Any]) -> dict[str, Any]:
    """Return `seen` without the entries that only `with_marks` put there, unless somebody changed them.

    Args:
        marked: `config` with our marks.
        config: as the caller wrote it.
        seen: what the machine shows of `marked` (`observed`).
    """
    result = dict(seen)
    for section in ("env", "metadata"):
        own, added = config.get(section) or {}, marked[section]
        kept = {key: value for key, value in record(seen.get(section)).items() if key in own or value != added.get(key)}
        result.pop(section, None)
        if kept or section in config:
            result[section] = kept
    return result


def normalised(value: Any) -> Any:
    """Return `value` with integral floats as ints and without None: the engine makes every number a float."""
    if isinstance(value, Mapping):
        return {key: normalised(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [normalised(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def nanoseconds(value: Any) -> Any:
    """Return a duration ("1m0s", or nanoseconds) as nanoseconds; anything else as it is."""
    if isinstance(value, str) and _DURATION.fullmatch(value):
        return sum(round(float(number) * _UNITS[unit]) for number, unit in _PART.findall(value))
    return value


def differences(wanted: Mapping[str, Any], live: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the dotted paths at which `live` is not what `wanted` states, sorted."""
    return tuple(sorted(set(_compare("", wanted, live))))


def observed(wanted: Mapping[str, Any], live: Mapping[str, Any]) -> dict[str, Any]:
    """Return `wanted` with the values of `live` wherever they differ, and our own spelling wherever they do not."""
    merged: dict[str, Any] = _merge("", wanted, live)
    return merged


def has_checks(config: Mapping[str, Any]) -> bool:
    """Tell whether a machine with this config gets health checks."""
    return bool(config.get("checks")) or any(service.get("checks") for service in records(config.get("services")))


def stays_up(config: Mapping[str, Any]) -> bool:
    """Tell whether the machine has to run all the time, so that finding it stopped is drift."""
    return all(
        _spelling("autostop", service.get("autostop")) in (None, "off") for service in records(config.get("services"))
    )


def _spelling(key: str, value: Any) -> Any:
    if key in _DURATION_KEYS:
        return nanoseconds(value)
    if key == "autostop" and isinstance(value, bool):
        return _AUTOSTOP[value]
    return value


def _child(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def _extra_keys(place: str, wanted: Mapping[str, Any], live: Mapping[str, Any]) -> list[str]:
    """Return keys that only `live` has and that are nobody's default."""
    extra = [key for key in live if key not in wanted and live[key] not in (None, {}, [], "", False)]
    if place == "":
        return [key for key in extra if key in _WATCHED]
    return extra if place in _OWN_MAPS else []


def _compare(place: str, wanted: Any, live: Any) -> Iterable[str]:
    key = place.rsplit(".", 1)[-1]
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        for name, value in wanted.items():
            yield from _compare(_child(place, name), value, live.get(name))
        yield from (_child(place, name) for name in _extra_keys(place, wanted, live))
    elif isinstance(wanted, list) and isinstance(live, list) and len(wanted) == len(live):
        for index, (mine, theirs) in enumerate(zip(wanted, live, strict=True)):
            yield from _compare(f"{place}[{index}]", mine, theirs)
    elif not _same(key, wanted, live):
        yield place


def _same(key: str, wanted: Any, live: Any) -> bool:
    # An empty section and a missing one are the same to the API.
    if wanted in _EMPTY and live in _EMPTY:
        return True
    if wanted is False and live is None:
        return True
    return bool(normalised(_spelling(key, wanted)) == normalised(_spelling(key, live)))


def _merge(place: str, wanted: Any, live: Any) -> Any:
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        merged = {name: _merge(_child(place, name), value, live.get(name)) for name, value in wanted.items()}
        merged |= {name: live[name] for name in _extra_keys(place, wanted, live)}
        return {name: value for name, value in merged.items() if value is not None}
    if isinstance(wanted, list) and isinstance(live, list) and len(wanted) == len(live):
        pairs = enumerate(zip(wanted, live, strict=True))
        return [_merge(f"{place}[{index}]", mine, theirs) for index, (mine, theirs) in pairs]
    return wanted if _same(place.rsplit(".", 1)[-1], wanted, live) else live
