"""restore: bring back the schema and the image of before an upgrade, or a backup from a file.

Without FILE it exchanges the tables for those of the copy that `migrate` kept (docs/upgrade.md); with FILE it replaces
their rows by those of a backup. Can be killed at any point and run again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clients.endpoints import World
from clients.fly import FlyClient
from clients.fly.model import Machine
from clients.fly.operations.one_off import OneOffRequest, OneOffResult, run_one_off
from ops import arguments
from ops.errors import OpsError
from ops.machine_images import image_of
from ops.migrate import failure
from ops.migrate_exit_codes import OK
from ops.reaching import add_reach
from ops.relay_machine import IN_ITS_NETWORK
from ops.restore_file import restore_file
from ops.runtime import Runtime
from ops.server_machines import run_image, server_machines, stopped
from ops.status_stack import StatedStack

_PASSED_ON = ("PREFECT_FLY_DATABASE_SCHEMA", "PREFECT_FLY_DATABASE_REQUIRE_TLS")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags. The stack states its world, so there is no --endpoints."""
    parser.set_defaults(endpoints=World.REAL.value)
    parser.add_argument("stack", metavar="NAME", help="the stack's name")
    parser.add_argument(
        "file", metavar="FILE", type=Path, nargs="?", help="a backup, instead of a copy in the database"
    )
    parser.add_argument("--replace", action="store_true", help="with FILE: throw away the runs that the database has")
    add_reach(parser, f"with FILE: {IN_ITS_NETWORK}")
    parser.add_argument("--snapshot", metavar="COPY", help="this copy, and not the one from before the last upgrade")
    parser.add_argument("--image", metavar="REFERENCE", help="the image to go back to, where the copy does not know it")
    parser.add_argument("--list", action="store_true", help="only show which copies there are")
    arguments.timeout(parser, 600)


@dataclass(frozen=True)
class Copy:
    """A copy as the image describes it; `words` are for people."""

    said: Mapping[str, Any]

    def __getitem__(self, key: str) -> str:
        """Return a part of its description, empty where it has none."""
        return str(self.said.get(key) or "")

    @property
    def aside(self) -> bool:
        """Tell whether a restore made it, of what it replaced."""
        return self["head"] == self["revision"]

    @property
    def words(self) -> str:
        """Name, revision, time and size for people."""
        size = int(self.said.get("size") or 0) / 1024**2
        return f"{self['name']}: revision {self['revision']}, {self['rows']} rows, {size:.1f} MB, {self['made_at']}"


@dataclass(frozen=True, kw_only=True)
class Server:
    """The server whose database is put back."""

    fly: FlyClient
    app: str
    machines: Sequence[Machine]
    timeout: float

    def run(self, verb: str, **environ: str) -> OneOffResult:
        """Run a verb of the image that the server has now, and return how it ended, with its log.

        Raises:
            OpsError: it failed.
        """
        # The last one: an interrupted restore changes them in their order.
        like = self.machines[-1]
        image = image_of(like)
        own = {key: value for key, value in like.config.get("env", {}).items() if key in _PASSED_ON}
        request = OneOffRequest(
            app=self.app,
            name=verb,
            image=image,
            region=like.region,
            cmd=[verb],
            owner=like.owner,
            env={**own, "PREFECT_FLY_MIGRATE_TIMEOUT": f"{self.timeout:.0f}", **environ},
            timeout=self.timeout + 60,
            reads_log=True,
        )
        result = run_one_off(self.fly, request)
        if result.exit_code != OK:
            raise OpsError(failure(self.app, image, result, verb))
        return result

    def copies(self) -> list[Copy]:
        """Return the copies in the database, oldest first.

        Raises:
            OpsError: they could not be listed.
        """
        log = self.run("snapshots").log_tail
        found = [Copy(json.loads(line.partition(": ")[2])) for line in log if line.startswith("snapshot: {")]
        if f"snapshots: {len(found)}" not in log:
            raise OpsError(
                f'could not list the copies in the database of app "{self.app}": Fly lost lines of its log. '
                "Run it again."
            )
        return found


def run(args: argparse.Namespace, rt: Runtime) -> dict[str, object]:
    """Bring it back.

    Raises:
        OpsError: it could not; the text says what stands as before.
        FlyError: Fly did not do as asked.
    """
    stack = StatedStack.named(args.stack)
    rt = replace(rt, world=stack.world)
    if not stack.server_app:
        raise OpsError(f'could not restore stack "{stack.name}": with mode: cloud it has no server of its own.')
    if args.file:
        return restore_file(stack, args.file, rt, reach=args.reach, replace=args.replace)
    return _restore_copy(args, stack, rt)


def _restore_copy(args: argparse.Namespace, stack: StatedStack, rt: Runtime) -> dict[str, object]:
    fly = FlyClient.from_environment(rt.world, rt.environ, progress=rt.progress.say)
    server = Server(
        fly=fly, app=stack.server_app, machines=server_machines(fly, stack.server_app), timeout=args.timeout
    )
    copies = server.copies()
    if args.list:
        return {"snapshots": [dict(copy.said) for copy in copies]}
    begun = _begun(copies, server)
    if begun and not args.snapshot:
        rt.progress.say("a restore that was interrupted goes on: the database is as before the upgrade already")
        return _deploy(server, stack.name, args.image or begun["leads_to"], rt, {"aside": begun["name"]})
    copy = _chosen(copies, args.snapshot, stack.name)
    image = args.image or copy["image"]
    if not image:
        raise OpsError(
            f"could not restore {copy['name']}: it is not known which image ran with it. Give --image with its "
            "reference by digest. Nothing was changed."
        )
    rt.progress.say(f"bringing back {copy.words}")
    with stopped(fly, server.app, server.machines, rt):
        server.run(
            "restore-snapshot",
            PREFECT_FLY_SNAPSHOT=copy["name"],
            PREFECT_FLY_IMAGE_BEFORE=image_of(server.machines[-1]),
            PREFECT_FLY_IMAGE_AFTER=image,
        )
    return _deploy(server, stack.name, image, rt, {"restored": copy["name"], "revision": copy["revision"]})


def _begun(copies: Sequence[Copy], server: Server) -> Copy | None:
    """Return what an interrupted restore has set aside: the newest, and its image still runs."""
    newest = copies[-1] if copies else None
    images = {image_of(machine) for machine in server.machines}
    return newest if newest and newest.aside and newest["leads_to"] and newest["image"] in images else None


def _chosen(copies: Sequence[Copy], name: str | None, stack: str) -> Copy:
    fitting = [copy for copy in copies if (copy["name"] == name if name else not copy.aside)]
    if not fitting:
        there = "".join(f"\n  {copy.words}" for copy in copies) or " none"
        which = f'copy "{name}"' if name else "copy from before an upgrade"
        raise OpsError(
            f'could not restore stack "{stack}": there is no {which} in its database. Nothing was changed. '
            f"There are:{there}"
        )
    return fitting[-1]


def _deploy(server: Server, stack: str, image: str, rt: Runtime, report: dict[str, object]) -> dict[str, object]:
    """Keep the next `up` at the old image, and let the machines run it."""
    pinned = _pin(stack, image, rt)
    run_image(server.fly, server.app, server.machines, image, rt)
    rt.progress.say(
        f'the server runs {image}; run "pulumi up" next, which brings the stack\'s state to it'
        + (f", and keep Pulumi.{stack}.yaml, which holds it there" if pinned else "")
    )
    return {**report, "image": image, "pinned": pinned}


def _pin(stack: str, image: str, rt: Runtime) -> bool:
    """Write the image into the stack's configuration; without it the next `up` would upgrade again."""
    command = ["pulumi", "config", "set", "--path", "image.reference", image, "--stack", stack]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        said = done.stderr.strip() if done.returncode else ""
    except (OSError, subprocess.TimeoutExpired) as error:
        said = f"pulumi did not run ({type(error).__name__})"
    if said:
        rt.progress.say(f'could not set image.reference of stack "{stack}": {said}. Run: {" ".join(command)}')
    return not said
