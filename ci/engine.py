"""One run of the engine on a stack of this folder, through Pulumi's Automation API: shown as it goes, and read."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pulumi import automation

from ci.changes import Changes

POLICY_PACK = "policy"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run told, and whether it failed. `text` is what the engine printed, secrets masked by the engine."""

    changes: Changes
    failed: bool
    text: str


def full_name(stack: str) -> str:
    """The stack's name at the backend; PULUMI_ORGANIZATION is for an organisation of Pulumi Cloud."""
    organization = os.environ.get("PULUMI_ORGANIZATION", "").strip()
    return f"{organization}/{stack}" if organization else stack


def preview(stack: str, *, policy_pack: str = "", refresh: bool = False) -> Outcome:
    """Preview a stack with its differences.

    Args:
        stack: its name; Pulumi.<name>.yaml lies in the working directory.
        policy_pack: where the pack is; empty checks none.
        refresh: look at what runs first. Nothing is written.
    """
    chosen = _stack(stack)
    packs = [policy_pack] if policy_pack else None
    return _watched(
        lambda **watching: chosen.preview(
            diff=True, color="never", policy_packs=packs, refresh=refresh or None, **watching
        )
    )


def up(stack: str, *, policy_pack: str = "") -> Outcome:
    """Bring a stack to what is stated, without asking."""
    chosen = _stack(stack)
    packs = [policy_pack] if policy_pack else None
    return _watched(lambda **watching: chosen.up(color="never", policy_packs=packs, show_secrets=False, **watching))


def made_up_secrets(stack: str, values: Mapping[str, str], *, backend: str, passphrase: str) -> None:
    """Make a stack on a backend and set secrets of it. Only made-up ones: this API puts them into an argv."""
    variables = {"PULUMI_BACKEND_URL": backend, "PULUMI_CONFIG_PASSPHRASE": passphrase}
    options = automation.LocalWorkspaceOptions(env_vars=variables)
    made = automation.create_or_select_stack(stack, work_dir=str(Path.cwd()), opts=options)
    for name, value in values.items():
        made.set_config(name, automation.ConfigValue(value, secret=True))


def _stack(stack: str) -> automation.Stack:
    return automation.select_stack(full_name(stack), work_dir=str(Path.cwd()))


def _watched(run: Callable[..., Any]) -> Outcome:
    changes, printed = Changes(), list[str]()

    def show(text: str) -> None:
        line = text if text.endswith("\n") else f"{text}\n"
        printed.append(line)
        print(line, end="", flush=True)

    try:
        run(on_output=show, on_error=show, on_event=changes.take)
    except automation.CommandError:
        return Outcome(changes=changes, failed=True, text="".join(printed))
    return Outcome(changes=changes, failed=False, text="".join(printed))
