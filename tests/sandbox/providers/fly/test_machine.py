from __future__ import annotations

import time
from dataclasses import replace

import pytest

from clients.fly.errors import FlyUnhealthyError
from clients.fly.operations.retiring import DRAIN
from clients.fly.operations.succession import retire_all
from clients.fly.operations.waiting import CRASHES
from providers.fly_machine import FlyMachineProvider
from sandbox.testing import Sandbox
from tests.support.dynamic_engine import EngineSide
from tests.support.fly_machines import engine, inputs, machines, update_by_hand
from tests.support.fly_world import IMAGE, ORG, OTHER_IMAGE, OWNER, client_of, config, later
from tests.support.waiting import until


@pytest.fixture(autouse=True)
def app(sandbox: Sandbox) -> None:
    client_of(sandbox).apps.create("shop", ORG)


def test_a_machine_is_made_healthy_and_a_second_up_changes_nothing(sandbox: Sandbox) -> None:
    """It has the marks of flyctl and ours; normalised values and filled-in defaults are no drift after a refresh."""
    machine = engine().create(inputs())
    (made,) = machines(sandbox)
    assert (made.name, made.region, made.state) == ("shop-ewr-1", "ewr", "started")
    assert made.config["metadata"] == {
        "fly_platform_version": "v2",
        "fly_process_group": "app",
        "prefect_fly_owner": OWNER,
        "prefect_fly_name": "shop-ewr-1",
    }
    assert machine.outputs["machine_id"] == made.id
    assert machine.outputs["image_digest"] == f"sha256:{'a' * 64}"
    assert machine.up(inputs()) == "same"
    before = dict(machine.outputs)
    assert machine.refresh()
    assert machine.outputs == before
    assert machine.up(inputs()) == "same"


def test_create_waits_for_checks_that_take_their_time(sandbox: Sandbox) -> None:
    """An empty list of checks and a critical one are not passing."""
    script = sandbox.emulated.script(app="shop", passing=False)
    waiting = later(1.0, lambda: setattr(script, "passing", True))
    engine().create(inputs())
    waiting.join()
    assert all(check.status == "passing" for check in machines(sandbox)[0].checks.values())


def test_a_first_create_that_fails_shows_the_log_and_removes_its_machine(sandbox: Sandbox) -> None:
    """The error has the check's output and the log tail; nothing is left to pay for."""
    sandbox.emulated.script(app="shop", passing=False, output="connection refused", lines=("no database", "giving up"))
    with pytest.raises(FlyUnhealthyError) as caught:
        engine().create(inputs(healthy_timeout=20))
    text = str(caught.value)
    assert text.startswith('could not start machine "shop-ewr-1" of app "shop" within 20 s: check')
    assert "connection refused" in text
    assert "giving up" in text
    assert machines(sandbox) == []


def test_a_machine_that_exits_fails_before_the_time_is_over(sandbox: Sandbox) -> None:
    """A program that ends and is not restarted is not waited for; its exit code is told."""
    sandbox.emulated.script(app="shop", exit_code=78)
    with pytest.raises(FlyUnhealthyError, match="exit code 78"):
        engine().create(inputs(config=config(restart={"policy": "no"}), healthy_timeout=3000))
    assert machines(sandbox) == []


@pytest.mark.parametrize("checks", [True, False])
def test_a_crash_loop_is_not_waited_for(sandbox: Sandbox, checks: bool) -> None:
    """A program that ends each time it is started again fails long before the time is over, with its log's tail."""
    script = sandbox.emulated.script(app="shop", exit_code=19, exit_after=1.0, passing=False, lines=("bad setting",))
    crashing = config() if checks else config(services=[])
    with pytest.raises(FlyUnhealthyError) as caught:
        engine().create(inputs(config=crashing, healthy_timeout=3000))
    text = str(caught.value)
    assert "it starts again and again, its program last ended with exit code 19" in text
    assert "bad setting" in text
    assert CRASHES <= script.boots <= CRASHES + 1
    assert machines(sandbox) == []


def test_a_program_that_ends_twice_is_waited_for(sandbox: Sandbox) -> None:
    """A database that was away for a moment fails no deploy; without checks it has to stay up for a while first."""
    script = sandbox.emulated.script(app="shop", exit_code=10, exit_after=1.0, passing=False, times=2)
    engine().create(inputs(config=config(services=[])))
    assert script.boots == 2
    assert machines(sandbox)[0].state == "started"


def test_a_crash_loop_is_ended_by_an_update(sandbox: Sandbox) -> None:
    """What the previous version did is not held against the new one."""
    machine = engine().create(inputs())
    script = sandbox.emulated.script(image="b" * 64, exit_code=19, exit_after=1.0, passing=False)
    update_by_hand(sandbox, machine.outputs["machine_id"], image=OTHER_IMAGE)
    until(lambda: script.boots > CRASHES)
    machine.refresh()
    assert machine.up(inputs()) == "update"
    assert machines(sandbox)[0].config["image"] == IMAGE


def test_an_update_into_a_crash_loop_is_put_back_at_once_and_names_the_secret(sandbox: Sandbox) -> None:
    """The sentence tells the loop, that the old config runs again, and which secrets changed meanwhile."""
    machine = engine().create(inputs())
    version = client_of(sandbox).secrets.write("shop", {"DATABASE_URL": "wrong"}).version
    sandbox.emulated.script(image="b" * 64, exit_code=12, exit_after=1.0, passing=False)
    changed = inputs(
        config=config(image=OTHER_IMAGE), min_secrets_version=version, secrets_fingerprint="f2", healthy_timeout=3000
    )
    with pytest.raises(FlyUnhealthyError) as caught:
        machine.up(changed)
    text = str(caught.value)
    assert "again and again, its program last ended with exit code 12" in text
    assert "The previous config was put back and is healthy. Of its secrets DATABASE_URL changed" in text
    assert machines(sandbox)[0].config["image"] == IMAGE


def test_an_update_happens_in_place_under_a_lease(sandbox: Sandbox) -> None:
    """Same machine, new version, new revision; the lease is given back and the machine gets requests again."""
    machine = engine().create(inputs())
    before = dict(machine.outputs)
    assert machine.up(inputs(config=config(image=OTHER_IMAGE))) == "update"
    (made,) = machines(sandbox)
    assert made.id == machine.outputs["machine_id"] == before["machine_id"]
    assert machine.outputs["revision"] != before["revision"]
    assert machine.outputs["instance_id"] == made.instance_id != before["instance_id"]
    assert machine.outputs["image_digest"] == f"sha256:{'b' * 64}"
    assert made.lease is None
    assert not made.cordoned
    calls = [call["path"].rsplit("/", 1)[-1] for call in sandbox.journal() if call["method"] != "GET"]
    assert (
        calls.index("lease")
        < calls.index("cordon")
        < calls.index(machine.outputs["machine_id"])
        < calls.index("uncordon")
    )


def test_a_server_that_is_long_at_its_end_is_no_failed_update(sandbox: Sandbox) -> None:
    """It works on what it has taken for longer than the new one may take to be healthy."""
    sandbox.emulated.script(image="a" * 64, ignores_signals=True)
    machine = engine().create(inputs(config=config(stop_config={"timeout": "120s"})))
    changed = inputs(config=config(image=OTHER_IMAGE, stop_config={"timeout": "120s"}), healthy_timeout=100)
    assert machine.up(changed) == "update"
    assert machines(sandbox)[0].config["image"] == OTHER_IMAGE


def test_a_server_that_was_told_to_end_by_a_run_before_is_no_failed_update(sandbox: Sandbox) -> None:
    """An interrupted run left it stopping, and it takes longer for that than the new one may take to be healthy."""
    sandbox.emulated.script(image="a" * 64, ignores_signals=True)
    machine = engine().create(inputs(config=config(stop_config={"timeout": "120s"})))
    client = client_of(sandbox)
    client.machines.stop("shop", client.machines.get("shop", machine.outputs["machine_id"]))
    assert machines(sandbox)[0].state == "stopping"
    changed = inputs(config=config(image=OTHER_IMAGE, stop_config={"timeout": "120s"}), healthy_timeout=100)
    assert machine.up(changed) == "update"
    assert machines(sandbox)[0].config["image"] == OTHER_IMAGE


def test_an_update_that_does_not_get_healthy_is_put_back(sandbox: Sandbox) -> None:
    """The previous config runs again and is healthy, the error tells both, and the state still describes it."""
    machine = engine().create(inputs())
    before = dict(machine.outputs)
    sandbox.emulated.script(image="b" * 64, passing=False, output="no such table", lines=("migrate first",))
    with pytest.raises(FlyUnhealthyError) as caught:
        machine.up(inputs(config=config(image=OTHER_IMAGE), healthy_timeout=20))
    text = str(caught.value)
    assert text.startswith('could not update machine "shop-ewr-1" of app "shop" within 20 s: check')
    assert "no such table" in text
    assert "The previous config was put back and is healthy." in text
    assert "migrate first" in text
    (made,) = machines(sandbox)
    assert (made.config["image"], made.state, made.cordoned, made.lease) == (IMAGE, "started", False, None)
    assert all(check.status == "passing" for check in made.checks.values())
    assert machine.outputs == before
    assert machine.refresh()
    assert machine.up(inputs()) == "same"


def test_a_cordon_that_stays_does_not_hide_why_the_update_failed(sandbox: Sandbox) -> None:
    """The failure is told; the cordon is drift afterwards and fixed by the next up."""
    machine = engine().create(inputs())
    sandbox.emulated.script(image="b" * 64, passing=False, output="no such table")
    fault = sandbox.faults("fly").add("POST", "/uncordon$", times=None, status=422, body={"error": "no"})
    with pytest.raises(FlyUnhealthyError, match="no such table"):
        machine.up(inputs(config=config(image=OTHER_IMAGE), healthy_timeout=10))
    assert fault.hits == 1
    sandbox.faults("fly").clear()
    assert machine.refresh()
    assert machine.outputs["drifted"] == ["cordoned"]
    assert machine.up(inputs()) == "update"
    assert not machines(sandbox)[0].cordoned


def test_an_update_whose_machine_gives_up_is_put_back_too(sandbox: Sandbox) -> None:
    """A version that exits at once, or cannot be booted, does not wait for its time to be over."""
    machine = engine().create(inputs())
    sandbox.emulated.script(image="b" * 64, boot_error="exec format error")
    with pytest.raises(FlyUnhealthyError, match="put back and is healthy"):
        machine.up(inputs(config=config(image=OTHER_IMAGE), healthy_timeout=3000))
    assert machines(sandbox)[0].config["image"] == IMAGE


def test_a_failure_caused_by_a_secret_names_the_secrets_that_changed(sandbox: Sandbox) -> None:
    """Secrets are app-wide and cannot be put back, so the person has to know which to look at."""
    client = client_of(sandbox)
    client.secrets.write("shop", {"OLD": "1"})
    machine = engine().create(inputs(min_secrets_version=1))
    sandbox.emulated.script(app="shop", environment={"DATABASE_URL": "wrong"}, passing=False, output="bad password")
    version = client.secrets.write("shop", {"DATABASE_URL": "wrong"}).version
    with pytest.raises(FlyUnhealthyError) as caught:
        machine.up(inputs(min_secrets_version=version, secrets_fingerprint="f2", healthy_timeout=20))
    text = str(caught.value)
    assert "Its config did not change. Of its secrets DATABASE_URL changed since" in text
    assert "OLD" not in text
    assert "wrong" not in text
    right = client.secrets.write("shop", {"DATABASE_URL": "right"}).version
    assert machine.up(inputs(min_secrets_version=right, secrets_fingerprint="f3")) == "update"
    assert machines(sandbox)[0].secrets["DATABASE_URL"] == "right"


def test_a_new_secrets_version_reaches_the_machine(sandbox: Sandbox) -> None:
    """The update asks for the version, so the machine cannot come up with older secrets."""
    machine = engine().create(inputs())
    version = client_of(sandbox).secrets.write("shop", {"A_SECRET": "fresh"}).version
    assert machine.up(inputs(min_secrets_version=version, secrets_fingerprint="f2")) == "update"
    assert machines(sandbox)[0].secrets["A_SECRET"] == "fresh"


def test_delete_drains_stops_and_destroys(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    """In that order, said before it takes its time; a second delete is fine."""
    machine = engine().create(inputs())
    again = EngineSide(FlyMachineProvider, id=machine.id, outputs=machine.outputs)
    machine.delete()
    assert capsys.readouterr().err.count("which may take 310 s") == 1
    assert machines(sandbox) == []
    verbs = [call["path"].rsplit("/", 1)[-1] for call in sandbox.journal() if call["method"] == "POST"]
    assert verbs.index("cordon") < verbs.index("stop")
    assert [call["method"] for call in sandbox.journal()].count("DELETE") == 1
    again.delete()


@pytest.mark.parametrize("beside", [False, True])
def test_only_a_machine_beside_another_is_waited_for(sandbox: Sandbox, beside: bool) -> None:
    """The edge gets its time to send requests to the other one; where there is none, nothing is waited for."""
    machine, client, slept = engine().create(inputs()), client_of(sandbox), list[float]()
    if beside:
        engine().create(inputs(name="shop-ewr-2"))

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        time.sleep(seconds)

    client.timing = replace(client.timing, sleep=sleep)
    retire_all(client, "shop", client.machines.get("shop", machine.outputs["machine_id"]))
    assert [made.name for made in machines(sandbox)] == ["shop-ewr-2"] * beside
    assert (DRAIN in slept) == beside


def test_replacements_leave_exactly_one_machine(sandbox: Sandbox) -> None:
    """A changed region of the same name, and `up --replace`: the old one is gone before the new one is made."""
    machine = engine().create(inputs())
    assert machine.up(inputs(region="fra")) == "replace"
    assert [made.region for made in machines(sandbox)] == ["fra"]
    machine.delete()
    machine.create(inputs(region="fra"))
    assert [made.id for made in machines(sandbox)] == [machine.outputs["machine_id"]]
