"""The whole of an update without a gap: real servers, real clients, a real database, one machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.fly import FlyOptions
from sandbox.testing import Sandbox, running_sandbox
from tests.support.fly_world import ORG
from tests.support.load import RATE
from tests.support.update_world import APP, load_of, serving, updating, users
from tests.support.waiting import until

pytestmark = [pytest.mark.prefect, pytest.mark.long]


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    options = FlyOptions(org=ORG, exact_rate_limits=True)
    home = tmp_path / "sandbox"
    with running_sandbox(home, driver="process", fly=options, postgres=True, filled=False) as running:
        for name, value in running.env().items():
            monkeypatch.setenv(name, value)
        yield running


def test_nobody_notices_an_update_of_size_environment_and_secrets(sandbox: Sandbox, tmp_path: Path) -> None:
    """No request fails, every flow run completes, nothing runs twice, and no event is missed by its automation."""
    with updating(sandbox, tmp_path / "world") as world:
        serving(world)
        with users(world) as seen, load_of(world.url) as load:
            until(lambda: load.answers["200"] > RATE)
            world.update("bluegreen", memory=512, env="new", secret="new")
            answered = load.answers["200"]
            until(lambda: load.answers["200"] > answered + RATE)
        assert set(load.answers) == {"200"}
        assert seen["failed"] == {}
        if "nobody worked on" not in sandbox.fly.logs.text(APP):
            # A computer that is too busy for the old server to finish in its time is told so, and may miss some.
            assert {tick: world.after(tick) for tick in seen["missed"]} == {}
            assert seen["repeated"] == []
        assert not {"Crashed", "Failed"} & set(world.states())
        assert world.states()["Completed"] >= 10
        assert (world.scheduled_twice(), world.fired_twice()) == (0, 0)
