"""Commands that run `python -m ops <verb>`: events with triggers, as opposed to resources with state.

Owns the text of every Command, which is written into users' state and therefore an interface (docs/adr/0001). Secrets
never stand in that text: they travel in `environment`.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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


@dataclass(frozen=True, kw_only=True)
class OpsEvent:
    """A verb that a Command runs.

    Attributes:
        verb: of `python -m ops`.
        flags: its flags without the dashes, in the order in which they are written.
        runs_on: with "delete" nothing runs on create and update: the bookend must stay silent in a normal `up`, and
            must not be given triggers.
        environment: variables that hold secrets.
        triggers: run again when one of these changes.
        only_triggers: a changed flag (a timeout, a secrets version) runs nothing; else the provider runs `create` again
            whenever any input changes.
        reads_stdout: the program reads standard output. Otherwise both outputs are secret: nothing reads them, and they
            hold other programs' words.
    """

    verb: str
    flags: Flags
    runs_on: Literal["create", "delete"] = "create"
    environment: Mapping[str, pulumi.Input[str]] | None = field(default=None, repr=False)
    triggers: Sequence[pulumi.Input[Any]] | None = None
    only_triggers: bool = False
    reads_stdout: bool = False

    def __post_init__(self) -> None:
        if self.runs_on == "delete" and self.triggers:
            raise ValueError(f"{self.verb} runs on delete, and triggers would run it in an ordinary up")

    @property
    def text(self) -> pulumi.Output[str]:
        """The shell text that is written into the state."""
        return pulumi.Output.all(**self.flags).apply(
            lambda known: render(self.verb, {flag: known[flag] for flag in self.flags})
        )


def ops_command(name: str, event: OpsEvent, opts: pulumi.ResourceOptions) -> local.Command:
    """Declare the Command that runs an ops verb."""
    secret = ["stderr"] if event.reads_stdout else ["stderr", "stdout"]
    return local.Command(
        name,
        create=event.text if event.runs_on == "create" else None,
        update=":" if event.only_triggers else None,
        delete=event.text if event.runs_on == "delete" else None,
        environment=dict(event.environment) if event.environment else None,
        triggers=list(event.triggers) if event.triggers else None,
        # Standard error is for people: progress, and a run's URL while it waits for approval. The report on standard
        # output stays in the state (docs/adr/0005).
        logging=local.Logging.STDERR,
        add_previous_output_in_env=False,
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(additional_secret_outputs=secret)),
    )
