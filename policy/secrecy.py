"""Secrets must be secret: what looks like a credential is encrypted in the state, or the update fails.

Only a remediation is told which inputs are secret; a validation gets them all in clear. So one policy has both halves:
the remediation changes nothing and remembers what it saw, the validation, which the engine asks next, reports it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pulumi_policy import ReportViolation, ResourceValidationArgs, Secret
from pulumi_policy.proxy import _is_unknown

from policy.rules import COMMAND

SECRET_NAME = re.compile(r"(?:^|_)(?:KEYS?|TOKEN|PASSWORD|AUTH|SECRET|CREDENTIAL)(?:_|$)")
URL_PASSWORD = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/:@]*:[^\s/@]+@", re.IGNORECASE)

# Inputs that hold a credential whatever its name, by resource type; dots lead into objects.
ALWAYS: Mapping[str, tuple[str, ...]] = {
    "github:index/actionsSecret:ActionsSecret": ("value", "plaintextValue"),
    "github:index/actionsEnvironmentSecret:ActionsEnvironmentSecret": ("value", "plaintextValue"),
    "pulumi-python:dynamic/fly:Secrets": ("values",),
    "pulumi-python:dynamic/prefect:NotificationBlock": ("credential", "data"),
    **{
        f"pulumi-python:dynamic/prefect:{kind}": ("credential",)
        for kind in ("Automation", "ConcurrencyLimit", "Variable", "WorkPool")
    },
    "docker:index/image:Image": ("registry.password",),
}


def plain_credentials(resource_type: str, props: Mapping[str, Any]) -> list[str]:
    """Return the paths of inputs that should be secret and are not.

    Args:
        resource_type: the type token.
        props: inputs as the engine sends them to a remediation; secrets are `Secret` objects below `__target`.
    """
    found = [path for path in ALWAYS.get(resource_type, ()) if _plain_at(props, path.split("."))]
    if resource_type == COMMAND:
        environment = _raw(props).get("environment")
        if not isinstance(environment, Secret):
            found += [f"environment.{name}" for name in _plain_by_name(environment)]
    found += [path for path, text in _texts(props, "") if URL_PASSWORD.search(text)]
    return sorted(set(found))


def _plain_by_name(environment: Any) -> Iterator[str]:
    for name, value in _raw(environment).items():
        if SECRET_NAME.search(name) and not isinstance(value, Secret) and not _is_unknown(value):
            yield name


def _plain_at(props: Any, path: Sequence[str]) -> bool:
    """Tell whether there is a value at `path` with nothing secret on the way to it."""
    value = _raw(props).get(path[0])
    if value is None or isinstance(value, Secret) or _is_unknown(value):
        return False
    return len(path) == 1 or _plain_at(value, path[1:])


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield every text that is not below a secret, with its path."""
    if isinstance(value, Secret):
        return
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in _raw(value).items():
            yield from _texts(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, Sequence):
        for index, item in enumerate(_raw_list(value)):
            yield from _texts(item, f"{path}[{index}]")


def _raw(value: Any) -> Mapping[str, Any]:
    """Return a mapping with its Secret objects: the SDK's proxy unwraps them, and keeps the original at `__target`."""
    if not isinstance(value, Mapping):
        return {}
    try:
        raw = value["__target"]
    except KeyError:
        return value
    return raw if isinstance(raw, Mapping) else {}


def _raw_list(value: Sequence[Any]) -> Sequence[Any]:
    try:
        raw: Any = value["__target"]  # type: ignore[call-overload]
    except TypeError:
        return value
    return raw if isinstance(raw, Sequence) else ()


class Secrecy:
    """The policy: it remembers each resource, then it reports."""

    def __init__(self) -> None:
        self._seen: dict[str, list[str]] = {}

    def remember(self, args: ResourceValidationArgs) -> None:
        """Keep what was seen of this resource for `report`; change nothing."""
        self._seen[args.urn] = plain_credentials(args.resource_type, args.props)

    def report(self, args: ResourceValidationArgs, report_violation: ReportViolation) -> None:
        """Report what `remember` saw."""
        for path in self._seen.pop(args.urn, []):
            report_violation(f"its input {path} holds a credential in clear. Wrap it in pulumi.Output.secret(…).", None)
