"""Waiting for a machine that Fly describes step by step."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from clients.fly.errors import FlyTimedOutError, FlyUnhealthyError
from clients.fly.model import Machine
from clients.fly.operations.waiting import Watch
from tests.support.scripted_http import FakeClock

CHECKED = {"services": [{"checks": [{"type": "http"}]}]}


def machine(state: str, checks: dict[str, str] | None = None) -> Machine:
    told = [{"name": name, "status": status, "output": ""} for name, status in (checks or {}).items()]
    return Machine.from_wire({"id": "m", "name": "web", "state": state, "checks": told, "config": CHECKED})


class FakeMachines:
    """Shows one machine after the other, the last one for ever; a wait succeeds once it shows "started"."""

    def __init__(self, *shown: Machine) -> None:
        self._shown, self.looks = list(shown), 0

    def wait(self, *_given: object, **_named: object) -> bool:
        """Tell whether the next look shows it started."""
        return self._shown[0].state == "started"

    def get(self, *_given: object) -> Machine:
        """Show the next one."""
        self.looks += 1
        return self._shown.pop(0) if len(self._shown) > 1 else self._shown[0]


def watch(machines: FakeMachines, *, ends_within: float = 0.0) -> Watch:
    logs = SimpleNamespace(tail=lambda *_given: ())
    client: Any = SimpleNamespace(
        machines=machines, logs=logs, timing=FakeClock().timing(), progress=lambda _message: None
    )
    return Watch(client=client, app="shop", within=60.0, ends_within=ends_within)


def test_a_machine_that_restarts_for_ever_is_not_waited_for_before_an_update() -> None:
    """A program that crashes at once keeps it in that state, and only the update ends it."""
    crashing, machines = machine("restarting"), FakeMachines(machine("restarting"))
    assert watch(machines).settled(crashing) is crashing
    assert machines.looks == 0


def test_a_machine_between_two_states_is_waited_for() -> None:
    """What ends by itself is let end."""
    assert watch(FakeMachines(machine("replacing"), machine("started"))).settled(machine("starting")).state == "started"


def test_what_works_on_as_it_ends_has_the_time_for_that_besides() -> None:
    """A server that an interrupted run told to end may take longer for it than one takes to start."""
    stopping = machine("stopping")
    seen = watch(FakeMachines(*[stopping] * 350, machine("stopped")), ends_within=300.0)
    assert seen.settled(stopping).state == "stopped"
    with pytest.raises(FlyTimedOutError, match="it has been stopping for 360 s"):
        watch(FakeMachines(stopping), ends_within=300.0).settled(stopping)


def test_one_look_at_a_stopped_machine_is_not_the_end_of_its_start() -> None:
    """Between two starts it shows "stopped" for a moment."""
    good = machine("started", {"servicecheck-00-http": "passing"})
    assert watch(FakeMachines(machine("stopped"), machine("starting"), good)).healthy(machine("created")) == good


def test_a_machine_that_stays_stopped_for_a_second_is_given_up() -> None:
    """Nobody starts it any more, so the rest of the time is not waited for."""
    seen = watch(FakeMachines(machine("stopped")))
    began = seen.client.timing.clock()
    with pytest.raises(FlyUnhealthyError, match="it is stopped"):
        seen.healthy(machine("created"))
    assert seen.client.timing.clock() - began == pytest.approx(1.0)


def test_a_machine_without_checks_that_stays_stopped_is_given_up() -> None:
    """It is seen started and then stops for good; the rest of the time is not waited for."""
    started, stopped = (Machine.from_wire({"id": "m", "name": "web", "state": each}) for each in ("started", "stopped"))
    seen = watch(FakeMachines(started, stopped))
    began = seen.client.timing.clock()
    with pytest.raises(FlyUnhealthyError, match="it is stopped"):
        seen.healthy(started)
    assert seen.client.timing.clock() - began < 5.0


def test_the_end_of_a_wait_is_seen_within_a_quarter_of_a_second() -> None:
    """However long it takes: the checks pass at the fortieth look, and so many quarters have gone by."""
    waiting, good = machine("started", {"http": "critical"}), machine("started", {"http": "passing"})
    seen = watch(FakeMachines(*[waiting] * 40, good))
    began = seen.client.timing.clock()
    assert seen.healthy(waiting) == good
    assert seen.client.timing.clock() - began == pytest.approx(40 * 0.25)


def test_checks_that_fly_mirrors_for_itself_do_not_count() -> None:
    """They may stay critical, and alone they prove nothing."""
    mirrored = {"bg_deployments_compat-servicecheck-00-http": "critical"}
    assert machine("started", {**mirrored, "servicecheck-00-http": "passing"}).healthy
    assert not machine("started", dict.fromkeys(mirrored, "passing")).healthy


def test_the_end_of_what_ran_before_leaves_the_new_one_its_time() -> None:
    """It takes 100 s, and then the checks may take their 60, which the wait's own time would not do for."""
    replacing, waiting = machine("replacing"), machine("started", {"http": "critical"})
    good = machine("started", {"http": "passing"})
    shown = [*[replacing] * 400, *[waiting] * 230, good]
    assert watch(FakeMachines(*shown), ends_within=300.0).healthy(replacing) == good
    with pytest.raises(FlyUnhealthyError, match="it is replacing"):
        watch(FakeMachines(*shown)).healthy(replacing)


def test_what_ended_soon_gives_the_new_one_no_more_time() -> None:
    """A server that is never healthy is given up after its 60 s."""
    seen = watch(FakeMachines(machine("replacing"), machine("started", {"http": "critical"})), ends_within=300.0)
    began = seen.client.timing.clock()
    with pytest.raises(FlyUnhealthyError, match="within 60 s"):
        seen.healthy(machine("replacing"))
    assert seen.client.timing.clock() - began == pytest.approx(60.25, abs=0.5)
