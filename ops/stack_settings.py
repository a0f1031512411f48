"""Settings of a stack for the verbs that people run, so that `--stack prod` saves typing the flags.

Only plain settings are read, through the Pulumi CLI; it is never asked to show secrets.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clients.endpoints import World
from ops.errors import OpsError
from ops.runtime import Runtime

_NAMESPACE = "prefect-fly:"


@dataclass(frozen=True, kw_only=True)
class Found:
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


def from_stack(args: argparse.Namespace, rt: Runtime) -> Found:
    """Return the flags of `args`, completed from --stack; a stack's `endpoints` wins over the default of the flag.

    Raises:
        OpsError: the stack cannot be read, or states the other world.
    """
    values = settings_of(args.stack) if args.stack else {}
    stated = values.pop("endpoints", "")
    if stated and stated != rt.world.value:
        raise OpsError(
            f'could not use stack "{args.stack}": it states endpoints: {stated}, but --endpoints is {rt.world.value}. '
            f"Give --endpoints {stated}."
        )
    values |= {name: value for name, value in vars(args).items() if isinstance(value, str) and value}
    return Found(values=values, rt=rt)


def settings_of(stack: str) -> dict[str, str]:
    """Return the settings of `stack` that the verbs know, by flag name.

    Raises:
        OpsError: the Pulumi CLI is missing or does not know the stack.
    """
    try:
        done = subprocess.run(
            ["pulumi", "config", "--json", "--stack", stack], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as cause:
        raise OpsError(
            f'could not read stack "{stack}": pulumi did not run ({type(cause).__name__}). Give the flags instead.'
        ) from cause
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise OpsError(
            f'could not read stack "{stack}": {said[0]} (exit code {done.returncode}). Give the flags instead.'
        )
    return flags_of(json.loads(done.stdout))


def flags_of(config: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Translate `pulumi config --json` to flag names."""
    own = {key.removeprefix(_NAMESPACE): entry for key, entry in config.items() if key.startswith(_NAMESPACE)}
    fly, orchestrator, github = (_group(own, name) for name in ("fly", "orchestrator", "github"))
    server_app = str(fly.get("app") or "")
    template = str(fly.get("urlTemplate") or "https://{app}.fly.dev")
    owner = str(config.get("github:owner", {}).get("value") or "")
    repository = str(github.get("repository") or "")
    flags = {
        "endpoints": str(own.get("endpoints", {}).get("value") or World.REAL.value),
        "org": str(fly.get("org") or ""),
        "server_app": server_app,
        "server_url": template.replace("{app}", server_app) if server_app else "",
        "app": str(orchestrator.get("app") or ""),
        "health_url": str(orchestrator.get("healthUrl") or ""),
        "repository": f"{owner}/{repository}" if owner and repository else "",
        "workflow": str(github.get("workflow") or "deploy-orchestrator.yml"),
    }
    return {name: value for name, value in flags.items() if value}


def _group(own: Mapping[str, Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    entry = own.get(name, {})
    value = entry.get("objectValue")
    if value is None and entry.get("value"):
        value = json.loads(str(entry["value"]))
    return value if isinstance(value, dict) else {}
