"""What a resource must look like, as pure functions: type, inputs and options in, sentences out.

The secrecy of inputs is checked in `policy.secrecy`. That an Image is kept on delete is not visible to a policy pack;
a test of the components guards it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pulumi_policy.proxy import UnknownValueError

COMMAND = "command:local:Command"
MACHINE = "pulumi-python:dynamic/fly:Machine"

_BY_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
# Kept running for ever; `migrate` runs as a one-off and is no fly:Machine.
_RESTART = "always"


@dataclass(frozen=True, kw_only=True)
class Resource:
    """What a rule may look at."""

    type: str
    props: Mapping[str, Any]
    protect: bool = False


Rule = Callable[[Resource], Iterator[str]]


def nothing_protected(resource: Resource) -> Iterator[str]:
    """`protect` would block `pulumi destroy`, which is the rollback."""
    if resource.protect:
        yield "it is protected, which would block the rollback. Remove protect."


def commands_are_quiet(resource: Resource) -> Iterator[str]:
    """A Command's output is streamed in clear whatever its secretness, and handed on by default."""
    if resource.type != COMMAND:
        return
    if known(resource.props, "logging", "stderr") not in {"none", "stderr"}:
        yield "its report would be streamed to the log. Set logging=Logging.STDERR, which shows progress only."
    # Absent means true: the plugin's default hands the output on.
    if known(resource.props, "addPreviousOutputInEnv", True):
        yield "it would see its previous output in its environment. Set add_previous_output_in_env=False."


def bookends_stay_silent(resource: Resource) -> Iterator[str]:
    """The bookend is the Command with a delete text. It may do nothing else, or a normal up would start a redeploy."""
    if resource.type != COMMAND or not known(resource.props, "delete", None):
        return
    for name in ("create", "update", "triggers"):
        if known(resource.props, name, None):
            yield f"it has both delete and {name}: the bookend must do nothing until it is deleted. Remove {name}."


def images_by_digest(resource: Resource) -> Iterator[str]:
    """A tag may mean another image tomorrow; a digest does not."""
    if resource.type != MACHINE:
        return
    image = known(known(resource.props, "config", {}), "image", None)
    if image is not None and image is not UNKNOWN and not _BY_DIGEST.search(str(image)):
        yield f'its image "{image}" is not named by digest. Deploy repository@sha256:….'


def machines_restart(resource: Resource) -> Iterator[str]:
    """A server that boots while its database is down exits, and must be started again."""
    if resource.type != MACHINE:
        return
    policy = known(known(known(resource.props, "config", {}), "restart", {}), "policy", "")
    if policy != _RESTART and policy is not UNKNOWN:
        yield f'its restart policy is "{policy or "default"}". Set restart.policy to "{_RESTART}".'


def services_are_checked(resource: Resource) -> Iterator[str]:
    """Without a check Fly routes to a machine that does not answer, and nobody can tell that an update went wrong."""
    if resource.type != MACHINE:
        return
    services = known(known(resource.props, "config", {}), "services", [])
    for service in services if isinstance(services, Sequence) else []:
        if not known(service, "checks", []):
            yield f"its service on port {known(service, 'internal_port', '?')} has no health check. Add one."


RULES: Mapping[str, Rule] = {
    "nothing-protected": nothing_protected,
    "commands-are-quiet": commands_are_quiet,
    "bookends-stay-silent": bookends_stay_silent,
    "images-by-digest": images_by_digest,
    "machines-restart": machines_restart,
    "services-are-checked": services_are_checked,
}


class _Unknown(Mapping[str, Any]):
    """Stands for a value that a preview does not know: not empty, and unknown all the way down."""

    def __getitem__(self, key: str) -> Any:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 1


UNKNOWN = _Unknown()


def known(mapping: Any, key: str, otherwise: Any) -> Any:
    """Return a value, `otherwise` when it is absent, UNKNOWN when only the update will know it."""
    if mapping is UNKNOWN:
        return UNKNOWN
    if not isinstance(mapping, Mapping):
        return otherwise
    try:
        return mapping[key]
    except KeyError:
        return otherwise
    except UnknownValueError:
        # Also `in` and `get` of the SDK's proxy raise it.
        return UNKNOWN
