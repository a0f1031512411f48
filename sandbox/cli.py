"""`python -m sandbox start | stop | status | env | reset`."""

from __future__ import annotations

import argparse
import importlib
import json
import shlex
import sys
from pathlib import Path
from typing import Any, cast

from sandbox import daemon
from sandbox.demo.stack import has_stack, pulumi_variables
from sandbox.names import DriverName
from toolchain import NoBuilderError, ToolchainError, docker_engine, gobuild, pins
from toolchain.base_image import ensure_base
from toolchain.prefect_env import prefect_python

HOME = Path(__file__).resolve().parents[1] / ".sandbox"

_ADDRESSES = {
    "Fly Machines API": "FLY_FLAPS_BASE_URL",
    "Fly API": "FLY_API_BASE_URL",
    "GitHub": "GITHUB_API_URL",
    "Better Stack": "BETTERSTACK_BASE_URL",
    "Prefect Cloud": "SANDBOX_CLOUD_API_URL",
    "orchestrator": "SANDBOX_ORCHESTRATOR_URL",
    "server (once deployed)": "SANDBOX_SERVER_URL",
}


def main(arguments: list[str]) -> int:
    """Run one verb; a failure is one sentence on stderr and exit code 1."""
    options = _parser().parse_args(arguments)
    try:
        {"start": _start, "stop": _stop, "status": _status, "env": _env, "reset": _reset}[options.verb](options)
    except (daemon.DaemonError, ToolchainError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox", description="Fly, GitHub, Better Stack and Prefect Cloud on this machine."
    )
    parser.add_argument("--home", type=Path, default=HOME, help="where everything is kept (default: .sandbox)")
    verbs = parser.add_subparsers(dest="verb", required=True)
    start = verbs.add_parser("start", help="start it, or say where it is")
    start.add_argument("--foreground", action="store_true", help="stay in this terminal until Ctrl-C")
    reset = verbs.add_parser("reset", help="forget everything; one that runs is started again")
    for verb in (start, reset):
        verb.add_argument(
            "--driver",
            choices=["auto", "process", "container", "emulated"],
            default="auto",
            help="what runs machines (auto: containers where a Docker engine answers, else processes)",
        )
    verbs.add_parser("stop", help="end it and everything it started")
    verbs.add_parser("status", help="what it holds").add_argument("--json", action="store_true")
    verbs.add_parser("env", help="export lines that point other tools at it")
    return parser


def _driver(options: argparse.Namespace) -> DriverName:
    """Return the driver to use, with what it needs made ready: that takes a while the first time, and says so here."""
    chosen: str = options.driver
    if chosen == "auto":
        chosen = "container" if docker_engine.answering_host() and _has_registry() else "process"
    if chosen != "emulated":
        prefect_python()
    if chosen == "container":
        gobuild.build(pins.REGISTRY)
        ensure_base()
    return cast("DriverName", chosen)


def _has_registry() -> bool:
    """Build the local registry that containers need, or say why they are done without."""
    try:
        gobuild.build(pins.REGISTRY)
    except NoBuilderError as error:
        print(f"Docker answers, but machines run as processes: {error}")
        return False
    return True


def _start(options: argparse.Namespace) -> None:
    if options.foreground:
        # All that the sandbox is made of; who only talks to it does not wait for that.
        importlib.import_module("sandbox.living").run(options.home, _driver(options))
        return
    found = daemon.running(options.home) or daemon.start(options.home, _driver(options))
    width = max(len(title) for title in _ADDRESSES)
    for title, variable in _ADDRESSES.items():
        print(f"  {title:<{width}}  {found[variable]}")
    print('Point other tools at it: eval "$(python -m sandbox env)"')


def _stop(options: argparse.Namespace) -> None:
    print("The sandbox has ended." if daemon.stop(options.home) else "No sandbox ran.")


def _env(options: argparse.Namespace) -> None:
    found = daemon.environment(options.home)
    if has_stack(options.home):
        found |= pulumi_variables(options.home)
    for name, value in found.items():
        print(f"export {name}={shlex.quote(value)}")


def _reset(options: argparse.Namespace) -> None:
    daemon.reset(options.home, lambda: _driver(options))
    print("The sandbox is as it was at first.")


def _status(options: argparse.Namespace) -> None:
    found = daemon.status(options.home)
    print(json.dumps(found, indent=2) if options.json else "\n".join(_lines(found)))


def _lines(found: dict[str, Any]) -> list[str]:
    lines = []
    for app in found["fly"]["apps"]:
        lines.append(f"Fly app {app['name']}: addresses {', '.join(app['ips']) or 'none'}")
        for machine in app["machines"]:
            checks = ", ".join(f"{check['name']} {check['status']}" for check in machine["checks"]) or "no checks"
            lines.append(f"  machine {machine['id']} {machine['state']}: {checks} ({machine['image']})")
        lines.append(f"  secrets: {', '.join(secret['name'] for secret in app['secrets']) or 'none'}")
    lines.append(f"GitHub secrets: {', '.join(found['github']['secrets']) or 'none'}")
    lines += [
        f"  run {run['id']} of {run['workflow']}: {run['conclusion'] or run['status']}"
        for run in found["github"]["runs"]
    ]
    lines += [
        f"Better Stack monitor {monitor['url']} every {monitor['check_frequency']} s: {monitor['status']}"
        for monitor in found["betterstack"]["monitors"]
    ] or ["Better Stack: no monitors"]
    health = found["orchestrator"]["health"]
    lines.append(f"orchestrator: {json.dumps(health) if health else 'no answer'}")
    lines.append(f"journal: {found['journal']}")
    return lines
