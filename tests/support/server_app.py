"""An app with a server in a sandbox of processes, whose image has its real verbs."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from clients.fly.model import MachineRequest
from sandbox.core.clock import Clock
from sandbox.fly import FlyOptions
from sandbox.images import SERVER_SOURCE, Command, process_image_reference
from sandbox.testing import Sandbox, running_sandbox
from tests.support import tiny_server
from tests.support.fly_world import ORG, OWNER, client_of, config
from toolchain.prefect_env import prefect_python

APP = "acme-prefect"
IMAGE = process_image_reference("registry.fly.io", APP)


def _program(arguments: Sequence[str]) -> Command:
    """The image's verbs as they are; instead of Prefect's server, which nobody asks here, a quick one."""
    if tuple(arguments) == ("serve",):
        return Command((sys.executable, str(tiny_server.__file__)))
    argv = (str(prefect_python()), "-m", "prefect_server", *arguments)
    return Command(argv, (("PYTHONPATH", str(SERVER_SOURCE)),))


@contextmanager
def app_with_a_server(home: Path, clock: Clock | None = None) -> Iterator[Sandbox]:
    """Run a sandbox with Fly's real rate limits, and in it the app with one machine that runs."""
    options = FlyOptions(org=ORG, exact_rate_limits=True)
    with running_sandbox(home, "process", clock=clock, fly=options, postgres=False, filled=False) as running:
        running.images.register(APP, _program)
        machines, apps = client_of(running).machines, client_of(running).apps
        apps.create(APP, ORG)
        marks = {"prefect_fly_owner": OWNER, "fly_process_group": "app"}
        body = MachineRequest(name=f"{APP}-1", region="ewr", config=config(image=IMAGE, metadata=marks))
        assert machines.wait(APP, machines.create(APP, body), "started", seconds=60)
        yield running
