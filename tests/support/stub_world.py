"""A sandbox whose machines run small stand-ins instead of Prefect, for tests of the engine's behaviour."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sandbox import captionacc
from sandbox.demo.stack import ROOT
from sandbox.github.models import Script
from sandbox.images import SERVER_SOURCE, Command, process_image_reference
from sandbox.testing import Sandbox, running_sandbox

_PROGRAMS = ROOT / "tests" / "support" / "programs"


def _program(name: str, arguments: Sequence[str]) -> Command:
    # The image's probe is the real one: it needs nothing but Python.
    found = (("PYTHONPATH", str(SERVER_SOURCE)),)
    return Command((sys.executable, str(_PROGRAMS / name), *arguments), found)


@contextmanager
def stub_world(home: Path) -> Iterator[Sandbox]:
    """Run the sandbox with a stand-in server, the Cloud-like workspace's as well, and a stand-in orchestrator.

    Started again on the same home it goes on from there.
    """
    with running_sandbox(home=home, driver="process", filled=False, postgres=False) as sandbox:
        sandbox.images.register("*prefect*", lambda arguments: _program("server.py", arguments))
        sandbox.images.register("*orchestrator*", lambda arguments: _program("orchestrator.py", arguments))
        sandbox.cloud.backend.program = _program("server.py", ["open"]).argv
        sandbox.github.usual = Script(queued=0.2, running=0.5, invisible=0.1)  # a runner that is free at once
        if captionacc.ORCHESTRATOR not in sandbox.fly.state.apps:
            captionacc.fill_github(sandbox.github)
            sandbox.run(captionacc.fill_fly(sandbox.fly, {}))
        yield sandbox


def stack_config(sandbox: Sandbox, **groups: dict[str, Any]) -> dict[str, Any]:
    """The settings of a stack in that sandbox; `groups` are merged into theirs."""
    config: dict[str, Any] = {
        "endpoints": "sandbox",
        "fly": {
            "org": captionacc.ORGANISATION,
            "app": captionacc.SERVER,
            "urlTemplate": sandbox.edge_url(captionacc.SERVER),
        },
        "orchestrator": {
            "app": captionacc.ORCHESTRATOR,
            "healthUrl": f"{sandbox.edge_url(captionacc.ORCHESTRATOR)}/health",
        },
        "github": {"repository": "captionacc"},
        "image": {"reference": process_image_reference("registry.fly.io", captionacc.SERVER)},
        "timeouts": {"migrate": 300, "healthy": 300, "redeploy": 300},
        "databaseUrl": "postgresql://prefect:pw@127.0.0.1:5432/postgres",
    }
    merged = {key: {**config.get(key, {}), **value} for key, value in groups.items()}
    own = {f"prefect-fly:{key}": value for key, value in {**config, **merged}.items()}
    return {
        "github:owner": captionacc.ORGANISATION,
        "github:baseUrl": sandbox.env()["GITHUB_BASE_URL"],
        "github:writeDelayMs": "0",
        **own,
    }
