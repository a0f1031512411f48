"""Commands that run `python -m ops <verb>`: events with triggers, as opposed to resources with state.

Owns the text of every Command, which is written into users' state and therefore an interface (docs/adr/0001). Secrets
never stand in that text: they travel in `environment`.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pulumi
from pulumi_command import local

_PROGRAM = "exec .venv/bin/python -m ops"

Flags = Mapping[str, pulumi.Input[Any]]


def render(verb: str, flags: Mapping[str, Any]) -> str:
    """Write the shell text: flags in the order given; None is left out, a mapping repeats its flag as KEY=VALUE."""
    words = [_PROGRAM, verb]
    for flag, value in flags.items():
        if value is None:
            continue
        values = [f"{key}={value[key]}" for key in sorted(value)] if isinstance(value, Mapping) else [value]
        words += [f"--{flag} {shlex.quote(_text(item))}" for item in values]
    return " ".join(words)


def _text(value: Any) -> str:
    # Numbers from the engine's state arrive as floats.
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def ops_command(
    name: str,
    verb: str,
    flags: Flags,
    *,
    runs_on: Literal["create", "delete"] = "create",
    environment: Mapping[str, pulumi.Input[str]] | None = None,
    triggers: Sequence[pulumi.Input[Any]] | None = None,
    only_triggers: bool = False,
    opts: pulumi.ResourceOptions,
) -> local.Command:
    """Declare a Command that runs an ops verb.

    With `runs_on="delete"` nothing runs on create and update: the bookend must stay silent in a normal `up`, and must
    not be given triggers. With `only_triggers` a changed flag (a timeout, a secrets version) runs nothing: without it
    the provider runs `create` again whenever any input changes.
    """
    text = pulumi.Output.all(**flags).apply(lambda known: render(verb, {key: known[key] for key in flags}))
    return local.Command(
        name,
        create=text if runs_on == "create" else None,
        update=":" if only_triggers else None,
        delete=text if runs_on == "delete" else None,
        environment=dict(environment) if environment else None,
        triggers=list(triggers) if triggers else None,
        # Standard error is for people: progress, and a run's URL while it waits for approval. The report on standard
        # output stays in the state (docs/adr/0005).
        logging=local.Logging.STDERR,
        add_previous_output_in_env=False,
        opts=opts,
    )
