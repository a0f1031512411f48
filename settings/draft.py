"""A stack's configuration, read group by group: what is valid can be used although something else is not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError

from settings.group import Group
from settings.groups import GROUPS, SECRETS, GeneralSettings
from settings.problems import Problems, known_keys

NAMESPACE = "prefect-fly"
# Outside of any group and not a single value; what to say when one is.
_WITH_PARTS = {
    "logins": 'give a list of names, for example ["admin"]',
    "variables": "give names with a value each",
    "workPools": "give names with a group of settings each",
}

# What is no JSON, holds a number of thousands of digits, or is too deep.
_UNREADABLE = (ValueError, RecursionError)

G = TypeVar("G", bound=Group)


class UnusableError(Exception):
    """A group that a rule needs has problems of its own, which are reported already."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What could be read.

    Attributes:
        groups: each group that has no problem, by its model.
        secrets: values of the secrets, by key; empty for those that are not set.
        foreign: settings of other namespaces, for example github:owner.
    """

    groups: Mapping[type[Group], Group]
    secrets: Mapping[str, str] = field(repr=False)
    foreign: Mapping[str, str] = field(repr=False)

    def get(self, kind: type[G]) -> G:
        """Return a group.

        Raises:
            UnusableError: it has problems.
        """
        group = self.groups.get(kind)
        if not isinstance(group, kind):
            raise UnusableError(kind.__name__)
        return group

    @property
    def cloud(self) -> bool:
        """Tell whether the stack states mode: cloud; a mode that cannot be read counts as self-hosted."""
        general = self.groups.get(GeneralSettings)
        return isinstance(general, GeneralSettings) and general.mode == "cloud"


def read(config: Mapping[str, str], problems: Problems) -> Draft:
    """Read a flat configuration (`namespace:key` to text or JSON), as the engine hands it over."""
    own = {key.partition(":")[2]: value for key, value in config.items() if key.startswith(f"{NAMESPACE}:")}
    outside = known_keys(GeneralSettings)
    general = {key: own[key] for key in outside if own.get(key)}
    known = {*GROUPS, *SECRETS, *outside}
    for key in sorted(own.keys() - known):
        problems.add(key, f"no such setting. Known: {', '.join(sorted(known))}")
    stated = _general(general, problems)
    groups: dict[type[Group], Group | None] = {GeneralSettings: stated}
    # Prefect Cloud needs nothing of Fly but the orchestrator, which has a group of its own.
    unused = {"fly"} if stated and stated.mode == "cloud" else set()
    for name in GROUPS.keys() - unused:
        groups[GROUPS[name]] = _group(GROUPS[name], name, own.get(name) or "{}", problems)
    return Draft(
        groups={kind: group for kind, group in groups.items() if group is not None},
        secrets={key: own.get(key, "") for key in SECRETS},
        foreign={key: value for key, value in config.items() if not key.startswith(f"{NAMESPACE}:")},
    )


def _general(texts: Mapping[str, str], problems: Problems) -> GeneralSettings | None:
    values: dict[str, Any] = dict(texts)
    for key in _WITH_PARTS.keys() & values.keys():
        try:
            values[key] = json.loads(texts[key])
        except _UNREADABLE:
            problems.add(key, _WITH_PARTS[key])
            del values[key]
    if "logins" in values:
        values["logins"] = _logins(values["logins"])
    return _validated(GeneralSettings, "", values, problems)


def _logins(given: object) -> object:
    """Write a bare name as the group that it stands for."""
    return [{"name": each} if isinstance(each, str) else each for each in given] if isinstance(given, list) else given


def _group(kind: type[G], name: str, text: str, problems: Problems) -> G | None:
    try:
        raw = json.loads(text)
    except _UNREADABLE:
        raw = text
    if not isinstance(raw, dict):
        problems.add(name, "give a group of settings, not a single value")
        return None
    return _validated(kind, name, {key: value for key, value in raw.items() if value is not None}, problems)


def _validated(kind: type[G], name: str, values: Mapping[str, Any], problems: Problems) -> G | None:
    try:
        # As JSON, because strict validation takes a list for a tuple only there.
        return kind.model_validate_json(json.dumps(values, allow_nan=False), by_alias=True, by_name=False)
    except ValidationError as error:
        problems.add_all(error, kind, name)
    except _UNREADABLE:
        problems.add(name or "configuration", "it holds a number or a nesting that JSON does not have")
    return None
