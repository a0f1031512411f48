"""`make demo-rollback`: destroy, watch the order, and show that nothing of the server is left."""

from __future__ import annotations

from typing import Any

from sandbox.demo.facts import Facts
from sandbox.demo.report import heading, step, table
from sandbox.demo.stack import DemoError, Stack
from sandbox.demo.up import health_of
from sandbox.demo.world import World
from toolchain import docker_engine

_READING = {"GET", "HEAD"}


def run(world: World) -> None:
    """Roll the demo's stack back.

    Raises:
        DemoError: there is nothing to roll back, or a step failed.
    """
    with step("1/3 Sandbox"):
        world.start()
    facts = Facts.of(world.environment())
    stack = Stack(world.home, facts.addresses)
    if not stack.exists():
        raise DemoError('could not roll the demo back: it was never deployed. Run "make demo" first.')
    before, seen = world.status(), len(world.journal())
    with step("2/3 pulumi destroy --refresh, stack sandbox"):
        if code := _destroy(stack):
            raise DemoError(
                f"could not roll the demo back: pulumi ended with exit code {code}, the lines above say why. The "
                'server is still there; fix it and run "make demo-rollback" again, it goes on from there.'
            )
    # Interrupted by a ^C while it deletes, the engine ends with exit code 0 all the same.
    if held := stack.held():
        raise DemoError(
            f"could not roll the demo back: pulumi ended before its end, the stack still holds {len(held)} resources. "
            'Run "make demo-rollback" again, it goes on from there.'
        )
    heading("3/3 What was changed, in order, and what is left")
    for line in _changes(world.journal()[seen:]):
        print(f"  {line}")
    after = world.status()
    print(f"\n{table(_rows(before, after))}")
    left = _left(facts, after)
    if left:
        raise DemoError(f"could not roll everything back: {', '.join(left)} is still there.")
    print("\nNothing of the server is left; its history stays in the database for the next deployment.")


def _destroy(stack: Stack) -> int:
    """Refresh and destroy; without Docker the image, which only its plugin can read, is left out of the refresh."""
    if docker_engine.answering_host() or "docker:index/image:Image" not in stack.held():
        return stack.show(["destroy", "--refresh", "--yes", "--skip-preview"])
    print("   No Docker engine answers: the image is not refreshed.")
    without_image = ["refresh", "--yes", "--skip-preview", "--exclude", "**docker:index/image:Image**"]
    return stack.show(without_image) or stack.show(["destroy", "--yes", "--skip-preview"])


def _changes(calls: list[dict[str, Any]]) -> list[str]:
    """The calls that changed something, runs of the same one folded."""
    lines: list[str] = []
    for call in calls:
        if call["method"] in _READING or call["status"] >= 400 or "/lease" in call["path"]:
            continue
        line = f"{call['service']:<11} {call['method']:<6} {call['path']}"
        if not lines or lines[-1] != line:
            lines.append(line)
    return lines


def _rows(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, str]]:
    runs = after["github"]["runs"]
    return [
        ("orchestrator before", health_of(before)),
        ("orchestrator now", health_of(after)),
        ("Fly apps", ", ".join(app["name"] for app in after["fly"]["apps"])),
        ("GitHub secrets", ", ".join(after["github"]["secrets"]) or "none"),
        ("workflow run", f"{runs[-1]['workflow']}: {runs[-1]['conclusion']}" if runs else "none"),
        ("monitors", ", ".join(m["url"] for m in after["betterstack"]["monitors"]) or "none"),
    ]


def _left(facts: Facts, after: dict[str, Any]) -> list[str]:
    left = [f"app {app['name']}" for app in after["fly"]["apps"] if app["name"] == facts.server_app]
    left += [f"GitHub secret {name}" for name in after["github"]["secrets"] if name.startswith("PREFECT_")]
    left += [f"monitor {monitor['url']}" for monitor in after["betterstack"]["monitors"]]
    return left
