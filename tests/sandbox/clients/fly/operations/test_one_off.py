from __future__ import annotations

import threading
from typing import Any

import pytest

from clients.fly.errors import FlyError, FlyRefusedError, FlyTimedOutError
from clients.fly.model import MachineRequest
from clients.fly.operations.one_off import OneOffRequest, run_one_off
from sandbox.testing import Sandbox
from tests.support.fly_world import IMAGE, ORG, OWNER, STRANGER, client_of, config
from tests.support.waiting import PATIENCE, until


def request(**changes: Any) -> OneOffRequest:
    given: dict[str, Any] = {
        "app": "shop",
        "name": "migrate",
        "image": IMAGE,
        "region": "ewr",
        "cmd": ["migrate"],
        "owner": OWNER,
        "timeout": 60.0,
    }
    return OneOffRequest(**(given | changes))


@pytest.fixture(autouse=True)
def app(sandbox: Sandbox) -> None:
    client_of(sandbox).apps.create("shop", ORG)


def live(sandbox: Sandbox) -> list[str]:
    return [machine.id for machine in sandbox.fly.state.apps["shop"].live_machines]


def leave_behind(sandbox: Sandbox, owner: str, name: str = "migrate") -> str:
    """Make the machine that a killed run would leave, and return its id."""
    left = request(owner=owner, name=name)
    body = MachineRequest(name=f"{name}-{owner[:4]}", region="ewr", config=left.config())
    return client_of(sandbox).machines.create("shop", body).id


@pytest.mark.parametrize("seconds", [0.0, 3.0])
def test_a_program_that_ends_well_leaves_nothing(sandbox: Sandbox, seconds: float) -> None:
    """Exit code 0 is read after the machine is gone, also when the program was over before anybody looked."""
    sandbox.emulated.script(arguments=("migrate",), exit_code=0, exit_after=seconds)
    result = run_one_off(client_of(sandbox), request())
    assert (result.exit_code, result.oom_killed, result.log_tail) == (0, False, ())
    assert live(sandbox) == []


def test_a_program_that_takes_long_is_told_of(sandbox: Sandbox) -> None:
    """Every ten seconds a line names the machine and how long it is still waited for."""
    sandbox.emulated.script(arguments=("migrate",), exit_code=0, exit_after=35.0)
    told: list[str] = []
    done = run_one_off(client_of(sandbox, progress=told.append), request())
    lines = [line for line in told if line.startswith(f'"migrate" is still running as machine {done.machine_id}; ')]
    left = [int(line.rpartition("; ")[2].removesuffix(" s left")) for line in lines]
    assert len(left) >= 3
    assert left == sorted(left, reverse=True)


def test_a_program_that_fails_shows_its_exit_code_and_the_end_of_its_log(sandbox: Sandbox) -> None:
    """Each cause has its code, and the log explains it."""
    lines = ("connecting", "migrate: the password is wrong")
    sandbox.emulated.script(arguments=("migrate",), exit_code=12, lines=lines)
    result = run_one_off(client_of(sandbox), request())
    assert result.exit_code == 12
    assert "migrate: the password is wrong" in result.log_tail
    assert live(sandbox) == []


def test_memory_that_ran_out_is_told(sandbox: Sandbox) -> None:
    """The exit event says so."""
    sandbox.emulated.script(arguments=("migrate",), exit_code=137, oom_killed=True)
    assert run_one_off(client_of(sandbox), request()).oom_killed


def test_the_machine_is_what_flyctl_would_make_of_a_release_command(sandbox: Sandbox) -> None:
    """No services, no restarts, marked as ours, with the asked-for secrets and variables and enough memory."""
    client = client_of(sandbox)
    version = client.secrets.write("shop", {"DATABASE_URL": "fresh"}).version
    sandbox.emulated.script(arguments=("migrate",), exit_code=0)
    run_one_off(client, request(min_secrets_version=version, env={"SCHEMA": "prefect"}, memory_mb=1024, swap_mb=256))
    (launch,) = sandbox.emulated.launches
    assert launch.environment["DATABASE_URL"] == "fresh"
    assert launch.environment["SCHEMA"] == "prefect"
    assert launch.environment["RELEASE_COMMAND"] == "1"
    assert (launch.memory_mb, launch.swap_mb) == (1024, 256)
    (machine,) = sandbox.fly.state.apps["shop"].machines.values()
    assert machine.config["metadata"]["fly_process_group"] == "fly_app_release_command"
    assert machine.config["restart"]["policy"] == "no"
    assert not machine.config.get("services")


def test_a_program_that_does_not_end_is_destroyed(sandbox: Sandbox) -> None:
    """The sentence says how long was waited, and nothing goes on running."""
    sandbox.emulated.script(arguments=("migrate",), lines=("waiting for a lock",))
    with pytest.raises(
        FlyTimedOutError, match=r'could not run "migrate" in app "shop": it did not end within 10 s'
    ) as caught:
        run_one_off(client_of(sandbox), request(timeout=10.0))
    assert "waiting for a lock" in str(caught.value)
    assert sandbox.fly.state.apps["shop"].machines
    assert all(
        machine.state in {"destroying", "destroyed"} for machine in sandbox.fly.state.apps["shop"].machines.values()
    )


def test_what_a_killed_run_left_goes_first_and_nothing_else(sandbox: Sandbox) -> None:
    """Ours of this name is removed; another stack's, another program's and the server's machines stay."""
    client = client_of(sandbox)
    leave_behind(sandbox, OWNER)
    others = {leave_behind(sandbox, STRANGER), leave_behind(sandbox, OWNER, "other")}
    others.add(client.machines.create("shop", MachineRequest(name="server", region="ewr", config=config())).id)
    until(lambda: len(sandbox.emulated.launches) == 4)
    sandbox.emulated.script(arguments=("migrate",), exit_code=0)
    assert run_one_off(client, request()).exit_code == 0
    assert set(live(sandbox)) == others


@pytest.mark.parametrize(
    "trouble", [{"drop_answer": True}, {"reset": True}, {"status": 503, "body": "no JSON"}, {"status": 408}]
)
@pytest.mark.parametrize("call", [("POST", "/machines$"), ("POST", "/start$"), ("GET", "/wait$")])
def test_an_unclear_answer_anywhere_runs_the_program_once(
    sandbox: Sandbox, trouble: dict[str, Any], call: tuple[str, str]
) -> None:
    """Neither a second machine nor a second run, whichever answer is lost."""
    sandbox.faults("fly").add(*call, **trouble)
    sandbox.emulated.script(arguments=("migrate",), exit_code=0)
    assert run_one_off(client_of(sandbox), request()).exit_code == 0
    assert len(sandbox.emulated.launches) == 1
    assert live(sandbox) == []


def test_a_start_that_was_done_although_its_answer_was_lost_counts(sandbox: Sandbox) -> None:
    """The program may be over and its machine gone before the start is repeated: a 404 then is no failure."""
    sandbox.emulated.script(arguments=("migrate",), exit_code=5)
    sandbox.faults("fly").add("POST", "/start$", drop_answer=True)
    sandbox.faults("fly").add("POST", "/start$", status=429, headers={"Retry-After": "10"})
    assert run_one_off(client_of(sandbox), request()).exit_code == 5
    assert len(sandbox.emulated.launches) == 1


def test_a_machine_that_cannot_be_started_is_removed(sandbox: Sandbox) -> None:
    """A refusal after the create leaves nothing behind."""
    sandbox.faults("fly").add("POST", "/start$", times=None, status=422, body={"error": "no"})
    with pytest.raises(FlyRefusedError):
        run_one_off(client_of(sandbox), request())
    assert all(
        machine.state in {"destroying", "destroyed"} for machine in sandbox.fly.state.apps["shop"].machines.values()
    )


def test_a_machine_that_cannot_boot_says_so(sandbox: Sandbox) -> None:
    """There is no exit code, so it ends in a sentence before its time is over, with the log."""
    sandbox.emulated.script(arguments=("migrate",), boot_error="exec format error")
    with pytest.raises(FlyError, match="exec format error"):
        run_one_off(client_of(sandbox), request(timeout=3000.0))
    assert live(sandbox) == []


def test_two_runs_of_one_stack_end_in_one_result(sandbox: Sandbox) -> None:
    """A rerun while a killed one's machine still works destroys that and goes on alone."""
    sandbox.emulated.script(arguments=("migrate",), times=1)
    errors: list[BaseException] = []

    def first() -> None:
        try:
            run_one_off(client_of(sandbox), request(timeout=30.0))
        except FlyError as error:
            errors.append(error)

    thread = threading.Thread(target=first)
    thread.start()
    while not sandbox.emulated.launches:
        assert thread.is_alive()
    sandbox.emulated.script(arguments=("migrate",), exit_code=0)
    assert run_one_off(client_of(sandbox), request()).exit_code == 0
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert live(sandbox) == []
