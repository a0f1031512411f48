"""Settings of a stack for the verbs that people run, so that `--stack prod` saves typing the flags.

They are read through the program's own models. Only plain settings are read, through the Pulumi CLI; it is never asked
to show secrets. The models are imported only where a stack is named: the rollback must not need them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from clients.endpoints import World
from ops.errors import OpsError
from ops.runtime import Runtime

if TYPE_CHECKING:
    from settings.draft import Draft


@dataclass(frozen=True, kw_only=True)
class Options:
    """Flags, completed from the stack. `need` and `get` take a flag's name with underscores."""

    values: Mapping[str, str]
    rt: Runtime

    def get(self, name: str) -> str:
        """Return a value, empty when neither flag nor stack gives one."""
        return self.values.get(name, "")

    def need(self, name: str) -> str:
        """Return a value.

        Raises:
            OpsError: neither flag nor stack gives one.
        """
        if not self.values.get(name):
            flag = "--" + name.replace("_", "-")
            raise OpsError(f'could not read flag "{flag}": it is not set. Give it, or --stack with the stack\'s name.')
        return self.values[name]


def add_stack(parser: argparse.ArgumentParser) -> None:
    """Add --stack."""
    parser.add_argument("--stack", help="read what no flag gives from this stack's configuration")


def from_stack(args: argparse.Namespace, rt: Runtime) -> Options:
    """Return the flags of `args`, completed from --stack, and a Runtime in the world that the stack states.

    Raises:
        OpsError: the stack cannot be read, or states another world than --endpoints.
    """
    values = settings_of(args.stack) if args.stack else {}
    stated = values.pop("endpoints", "")
    asked = getattr(args, "endpoints", None)
    if stated and asked and stated != asked:
        raise OpsError(
            f'could not use stack "{args.stack}": it states endpoints: {stated}, but --endpoints is {asked}. '
            "Leave --endpoints out."
        )
    rt = replace(rt, world=World(stated)) if stated else rt
    values |= {name: value for name, value in vars(args).items() if isinstance(value, str) and value}
    return Options(values=values, rt=rt)


def settings_of(stack: str) -> dict[str, str]:
    """Return the settings of `stack` that the verbs know, by flag name.

    Raises:
        OpsError: the Pulumi CLI is missing, does not know the stack, or a setting is wrong.
    """
    return flags_of(stack, config_of(stack))


def config_of(stack: str, advice: str = "Give the flags instead.") -> dict[str, dict[str, Any]]:
    """Return what `pulumi config --json` says of `stack`; secrets have no value there.

    Raises:
        OpsError: the Pulumi CLI is missing or does not know the stack.
    """
    try:
        done = subprocess.run(
            ["pulumi", "config", "--json", "--stack", stack], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as cause:
        raise OpsError(
            f'could not read stack "{stack}": pulumi did not run ({type(cause).__name__}). {advice}'
        ) from cause
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise OpsError(f'could not read stack "{stack}": {said[0]} (exit code {done.returncode}). {advice}')
    config: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return config


def flags_of(stack: str, config: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Translate `pulumi config --json` to flag names.

    Raises:
        OpsError: a setting is wrong; every problem is listed.
    """
    return flags_from(draft_of(stack, config))


def draft_of(stack: str, config: Mapping[str, Mapping[str, Any]]) -> Draft:
    """Read `pulumi config --json` with the program's own models.

    Raises:
        OpsError: a setting is wrong; every problem is listed.
    """
    from settings import draft as drafts  # noqa: PLC0415  # only where a stack is named
    from settings.problems import Problems  # noqa: PLC0415

    problems = Problems()
    draft = drafts.read({key: _text(entry) for key, entry in config.items() if "value" in entry}, problems)
    if problems:
        listed = "".join(f"\n  - {problem}" for problem in problems)
        raise OpsError(f'could not use the configuration of stack "{stack}":{listed}\nCorrect Pulumi.{stack}.yaml.')
    return draft


def flags_from(draft: Draft) -> dict[str, str]:
    """Return a draft without problems by flag name; what is empty is left out."""
    from settings.fly import FlySettings  # noqa: PLC0415
    from settings.groups import GeneralSettings, GithubSettings, OrchestratorSettings  # noqa: PLC0415

    github, orchestrator = draft.get(GithubSettings), draft.get(OrchestratorSettings)
    fly = None if draft.cloud else draft.get(FlySettings)
    owner = draft.foreign.get("github:owner", "")
    flags = {
        "endpoints": draft.get(GeneralSettings).endpoints,
        "org": fly.org if fly else "",
        "server_app": fly.app if fly else "",
        "server_url": fly.server_url if fly else "",
        "reach": (fly.reach or "") if fly else "",
        "domain": (fly.domain or "") if fly else "",
        "orchestrator_app": orchestrator.app,
        "health_url": orchestrator.health_url,
        "repository": f"{owner}/{github.repository}" if owner else "",
        "workflow": github.workflow,
        "client_version": "" if draft.cloud else orchestrator.client_version or "",
    }
    return {name: value for name, value in flags.items() if value}


def _text(entry: Mapping[str, Any]) -> str:
    """Return a value as the engine hands it to the program: text, or JSON for what has parts."""
    if "objectValue" in entry:
        return json.dumps(entry["objectValue"])
    return str(entry.get("value") or "")
