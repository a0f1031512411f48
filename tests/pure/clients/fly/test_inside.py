"""Requests that one of the app's own machines makes."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from clients.endpoints import World
from clients.fly import FlyClient
from clients.fly.errors import FlyConflictError, FlyForbiddenError
from clients.fly.machines import Execution
from clients.fly.model import Machine
from clients.fly.operations.inside import PROBE, InsideSession
from clients.prefect import PrefectClient, PrefectUnreachableError
from tests.support.fake_server import CREDENTIAL

SERVING = {"id": "a1", "name": "web", "state": "started", "config": {"services": [{}]}}


class FakeMachines:
    """One app's machines, and what a command in them says."""

    def __init__(self, *machines: dict[str, Any]) -> None:
        self.machines = [Machine.from_wire(each) for each in machines]
        self.answer: dict[str, Any] = {"status": 200, "headers": {"Content-Type": "application/json"}, "body": "{}"}
        self.exit_code = 0
        self.trouble: Exception | None = None
        self.commands: list[tuple[str, ...]] = []
        self.asked: list[dict[str, Any]] = []

    def list(self, app: str) -> list[Machine]:
        """Return them."""
        assert app == "acme-prefect"
        return self.machines

    def run(self, _app: str, machine: Machine, command: tuple[str, ...], *, stdin: str, seconds: int) -> Execution:
        """Keep what was asked."""
        if self.trouble:
            raise self.trouble
        assert (machine.id, seconds) == ("a1", 30)
        self.commands.append(command)
        self.asked.append(json.loads(stdin))
        return Execution(exit_code=self.exit_code, stdout=json.dumps(self.answer), stderr="pf_canary")

    def client(self) -> PrefectClient:
        """Return a client of the server behind them."""
        fly = cast("FlyClient", SimpleNamespace(machines=self))
        return PrefectClient.at("http://acme-prefect.flycast", World.REAL, InsideSession(fly, "acme-prefect"))


def test_a_request_goes_through_the_machine_and_its_key_through_standard_input() -> None:
    """Method, address, headers and body arrive as they would; no word of the command holds the key."""
    machines = FakeMachines({**SERVING, "id": "idle", "state": "stopped"}, SERVING)
    machines.answer |= {"status": 401}
    assert machines.client().api_status(CREDENTIAL.bearer(), "b2") == 401
    (asked,) = machines.asked
    assert (asked["method"], asked["url"]) == ("POST", "http://acme-prefect.flycast/api/flows/filter")
    assert json.loads(asked["body"]) == {"limit": 1}
    assert asked["headers"]["Authorization"] == CREDENTIAL.bearer()
    assert asked["headers"]["fly-force-instance-id"] == "b2"
    assert machines.commands == [PROBE]


def test_what_it_answers_is_read_as_any_answer() -> None:
    """Status, headers and body come back."""
    machines = FakeMachines(SERVING)
    machines.answer |= {"body": json.dumps({"keys": {"verify": {"accepted": 3}}})}
    assert machines.client().key_use(CREDENTIAL)["verify"].accepted == 3
    machines.answer = {"status": 200, "headers": {"Content-Type": "text/html"}, "body": "<html>"}
    assert machines.client().ui_status() == (200, "text/html")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"machines": []}, 'no machine of app "acme-prefect" runs, and only they reach it'),
        ({"exit_code": 1}, "machine a1 cannot make requests (exit code 1): its image has no probe"),
        ({"answer": []}, "machine a1 cannot make requests (exit code 0): its image has no probe"),
        ({"answer": {}}, "machine a1 cannot make requests (exit code 0): its image has no probe"),
        ({"answer": {"error": "ConnectionRefusedError: no"}}, "machine a1 gets no answer: ConnectionRefusedError: no"),
        ({"trouble": FlyConflictError("run", "not running")}, "the request could not be made inside its network: not"),
    ],
)
def test_no_answer_says_why_and_is_waited_for(change: dict[str, Any], said: str) -> None:
    """Each is the silence of the server, with its reason, and without what the command wrote on standard error."""
    machines = FakeMachines(SERVING)
    for name, value in change.items():
        setattr(machines, name, value)
    with pytest.raises(PrefectUnreachableError) as silence:
        machines.client().ready()
    assert said in str(silence.value)
    assert "canary" not in str(silence.value)


def test_a_token_that_may_not_run_commands_is_no_silence() -> None:
    """Waiting does not help, so it is raised as what it is."""
    machines = FakeMachines(SERVING)
    machines.trouble = FlyForbiddenError("run a command", "no")
    with pytest.raises(FlyForbiddenError):
        machines.client().ready()
