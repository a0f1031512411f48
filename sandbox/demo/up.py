"""`make demo`: deploy, wire, prove, and show what there is now."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import toolchain
from sandbox.demo.facts import Facts
from sandbox.demo.report import heading, step, table
from sandbox.demo.stack import DemoError, Stack
from sandbox.demo.world import World


def run(world: World) -> None:
    """Do it all; a second time changes nothing and says so.

    Raises:
        DemoError: a step failed; what failed is shown above.
    """
    started = time.monotonic()
    with step("1/4 Tools: the Pulumi engine and its plugins"):
        print(f"   pulumi: {toolchain.ensure_with_plugins()}")
    with step("2/4 Sandbox: Fly, GitHub and Better Stack on loopback, a real Postgres, the sample orchestrator"):
        world.start()
    facts = Facts.of(world.environment())
    before = world.status()
    stack = Stack(world.home, facts.addresses)
    stack.configure(facts.plain_config(), facts.secret_config())
    with step("3/4 pulumi up, stack sandbox"):
        if code := stack.show(["up", "--yes", "--skip-preview"]):
            raise DemoError(
                f"could not deploy the demo: pulumi ended with exit code {code}, the lines above say why. "
                'Fix it and run "make demo" again; it goes on from there.'
            )
    heading("4/4 What there is now")
    # Each is a start of the CLI, and the passphrase is slow by design.
    with ThreadPoolExecutor() as pool:
        changed, outputs = pool.submit(stack.last_changes), pool.submit(stack.outputs)
        changes = changed.result()
        print(table(_rows(outputs.result(), before, world.status())))
    print(f"\n{_summary(changes)} It took {time.monotonic() - started:.0f} s.")
    if facts.left_out:
        print(facts.left_out)
    print('Roll it back with "make demo-rollback"; "make demo-stop" ends everything that was started.')


def _summary(changes: dict[str, int]) -> str:
    if not changes:
        return "Nothing had to change: everything was as the program states it."
    return "Changed: " + ", ".join(f"{count} {kind}d" for kind, count in sorted(changes.items())) + "."


def _rows(outputs: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, str]]:
    github, monitors = after["github"], after["betterstack"]["monitors"]
    runs = github["runs"][-1:]
    return [
        ("server and UI", outputs["uiUrl"]),
        ("log in with", f"{outputs['uiLogin']}  (the whole of it, in the one field)"),
        ("lineage", f"{outputs['uiUrl']}lineage"),
        ("API", outputs["apiUrl"]),
        ("orchestrator before", health_of(before)),
        ("orchestrator now", health_of(after)),
        ("GitHub secrets", ", ".join(github["secrets"])),
        ("workflow run", "\n".join(f"{run['workflow']}: {run['conclusion']}" for run in runs) or "none"),
        ("monitor", "\n".join(f"{m['url']} every {m['check_frequency']} s: {m['status']}" for m in monitors)),
        ("image", outputs["image"]),
        ("cost", f"{outputs['monthlyCostUsd']} USD per month on the real Fly"),
    ]


def health_of(status: dict[str, Any]) -> str:
    """What the orchestrator says of Prefect, in words."""
    health = status["orchestrator"]["health"] or {}
    prefect = (health.get("components") or {}).get("prefect", "no answer")
    return f'components.prefect is "{prefect if isinstance(prefect, str) else json.dumps(prefect)}"'
