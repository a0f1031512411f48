"""A canary in what other programs say: no error shows it, and the useful rest of the line stays."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.endpoints import World
from clients.errors import ApiError
from ops import migrate, restart_machines
from ops.errors import OpsError
from ops.runtime import Progress, Runtime
from providers.fly_machine import FlyMachineProvider
from sandbox.testing import Sandbox
from tests.support.dynamic_engine import EngineSide
from tests.support.fly_machines import by_hand, inputs
from tests.support.fly_world import IMAGE, ORG, OWNER, client_of, sandboxed

CANARY = "canary-hunter2"
LOG = f"could not connect to postgresql+asyncpg://prefect:{CANARY}@db.test/postgres: timeout"
CHECK = f"500 Internal Server Error: password={CANARY} refused by db.test"


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    yield from sandboxed(tmp_path, monkeypatch)


@pytest.fixture(autouse=True)
def app(sandbox: Sandbox) -> None:
    client_of(sandbox).apps.create("shop", ORG)


def runtime(sandbox: Sandbox) -> Runtime:
    return Runtime(world=World.SANDBOX, progress=Progress(), environ=sandbox.env(), poll=0.05, lag=0.05)


def texts(error: BaseException) -> str:
    """Everything that a person could see of an error: its text and its parts, and of those behind it."""
    seen = [f"{error} {error!r} {vars(error)}"]
    for behind in (error.__cause__, error.__context__):
        seen += [texts(behind)] if behind else []
    return "\n".join(seen)


def test_a_machine_that_does_not_get_healthy(sandbox: Sandbox, capfd: pytest.CaptureFixture[str]) -> None:
    """Neither the output of its check nor its log shows the password, in the error or in the progress lines."""
    sandbox.emulated.script(app="shop", passing=False, output=CHECK, lines=(LOG,))
    with pytest.raises(ApiError) as failed:
        EngineSide(FlyMachineProvider).create(inputs(healthy_timeout=10))
    assert CANARY not in texts(failed.value) + capfd.readouterr().err
    assert "prefect:[cut out]@db.test/postgres: timeout" in str(failed.value)
    assert "password=[cut out] refused by db.test" in str(failed.value)


def test_a_migration_that_fails(sandbox: Sandbox, capfd: pytest.CaptureFixture[str]) -> None:
    """The end of its log is shown without the password."""
    sandbox.emulated.script(arguments=("migrate",), lines=(LOG,), exit_code=10, exit_after=0.1)
    parser = argparse.ArgumentParser()
    migrate.add_arguments(parser)
    flags = ["--endpoints", "sandbox", "--server-app", "shop", "--image", IMAGE, "--region", "ewr", "--owner", OWNER]
    with pytest.raises(OpsError) as failed:
        migrate.run(parser.parse_args(flags), runtime(sandbox))
    assert CANARY not in texts(failed.value) + capfd.readouterr().err
    assert "prefect:[cut out]@db.test/postgres: timeout" in str(failed.value)


def test_a_redeploy_by_machines_that_fails(sandbox: Sandbox, capfd: pytest.CaptureFixture[str]) -> None:
    """The log is somebody else's program's, which may print what it likes."""
    by_hand(sandbox, "orchestrator-1")
    sandbox.emulated.script(app="shop", passing=False, output=CHECK, lines=(LOG,))
    with pytest.raises(ApiError) as failed:
        restart_machines.restart_with_present_secrets("shop", 10, runtime(sandbox))
    assert CANARY not in texts(failed.value) + capfd.readouterr().err
    assert "db.test/postgres: timeout" in str(failed.value)
