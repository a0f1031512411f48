"""A few cases of the fault sweep (`make sweep` runs all of them), and that each of its checks can fail."""

from __future__ import annotations

import functools
import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from pulumi import automation

from proof.crashes import CRASHES
from proof.faults import FAULTS
from proof.routes import Route
from proof.stage import Stage, stage
from proof.sweep import Case, Clean, Outcome, cases, chosen, clean_run, run_case, shard
from proof.worlds import Worlds
from sandbox import captionacc
from tests.support.programs.objects import Objects

pytestmark = [pytest.mark.engine]


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Worlds:
    return Worlds(tmp_path_factory.mktemp("worlds"))


@pytest.fixture(scope="module")
def clean_of(worlds: Worlds) -> Callable[[str], Clean]:
    # Several tests compare with the same one.
    return functools.cache(lambda operation: clean_run(operation, worlds))


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Stage]:
    with stage(tmp_path) as running:
        yield running


def held(case: Case, clean: Clean, worlds: Worlds) -> Outcome:
    """Play a case, in which everything has to hold."""
    outcome = run_case(case, clean, worlds)
    assert not outcome.violations, outcome
    return outcome


# What Pulumi's automation says when the engine was killed while it wrote its events.
@pytest.mark.long
@pytest.mark.filterwarnings("ignore:Error in event stream:UserWarning")
@pytest.mark.parametrize(("operation", "count"), [("up", 2), ("destroy", 1)])
def test_some_faults_and_a_crash_leave_nothing_wrong(
    operation: str, count: int, worlds: Worlds, clean_of: Callable[[str], Clean]
) -> None:
    """Cases chosen by a fixed seed: the operation goes through in the end, and everything holds."""
    clean = clean_of(operation)
    every = cases(operation, clean)
    quick = [case for case in every if case.fault in FAULTS and not case.fault.startswith("time-out")]
    crashes = [case for case in every if case.fault in CRASHES]
    for case in chosen(quick, count, seed=3) + chosen(crashes, 1, seed=3):
        held(case, clean, worlds)


@pytest.mark.long
def test_a_secret_that_githubs_provider_believes_to_have_written_comes_with_a_refresh(
    worlds: Worlds, clean_of: Callable[[str], Clean]
) -> None:
    """A garbled success of its write loses the secret unseen; `up --refresh` writes it."""
    clean = clean_of("up")
    case = next(case for case in cases("up", clean) if case.believed and case.route.method == "PUT")
    outcome = held(case, clean, worlds)
    assert outcome.hits == 1


@pytest.mark.long
def test_a_deletion_that_githubs_provider_does_not_believe_goes_on_with_a_refresh(
    worlds: Worlds, clean_of: Callable[[str], Clean]
) -> None:
    """The answer is lost, the provider asks again and takes the 404 for a failure: `up --refresh` finds it gone."""
    clean = clean_of("detach")
    case = next(case for case in cases("detach", clean) if case.disbelieved and case.fault == "reset after the effect")
    outcome = held(case, clean, worlds)
    assert (outcome.hits, outcome.survived) == (1, False)


@pytest.mark.long
def test_an_alert_that_the_server_does_not_let_go_fails_the_update(
    worlds: Worlds, clean_of: Callable[[str], Clean]
) -> None:
    """An automation that nobody remembers would go on telling: `up` fails, and run again it removes it."""
    clean = clean_of("no alert")
    route = Route("edge", "DELETE", f"/{captionacc.SERVER}/api/automations/{{id}}")
    case = next(case for case in cases("no alert", clean) if (case.route, case.fault) == (route, "500"))
    outcome = held(case, clean, worlds)
    assert (outcome.hits > 0, outcome.survived) == (True, False)


@pytest.mark.long
def test_an_interrupted_destroy_says_that_it_is_done_and_goes_on(
    worlds: Worlds, clean_of: Callable[[str], Clean]
) -> None:
    """The engine exits with 0 after a ^C in a deletion (docs/state.md says so to people); run again it ends well."""
    clean = clean_of("destroy")
    route = Route("fly", "DELETE", f"/v1/apps/{captionacc.SERVER}/machines/{{id}}")
    (case,) = [case for case in cases("destroy", clean) if (case.route, case.fault) == (route, "^C")]
    outcome = held(case, clean, worlds)
    assert (outcome.hits, outcome.survived) == (1, True)


@pytest.mark.long
def test_a_world_that_ends_otherwise_is_a_violation(worlds: Worlds, clean_of: Callable[[str], Clean]) -> None:
    """The control of the comparison: a clean run that knew another end."""
    clean = clean_of("up")
    other = Clean(routes=clean.routes, signature={**clean.signature, "github": ["SOMETHING_ELSE"]})
    case = next(case for case in cases("up", clean) if case.fault == "429")
    (violation,) = run_case(case, other, worlds).violations
    assert violation.startswith("the end differs: github is [")


def test_a_world_that_is_played_again_is_as_it_was_prepared(worlds: Worlds) -> None:
    """What a case does to its world, and what its engine printed, is gone in the next one; so are its processes."""
    with worlds.prepared("up") as made:
        prepared, printed = made.signature(), made.engine.text()
        made.engine.up()
        folder, deployed = made.engine.folder, made.signature()
        left = subprocess.Popen(["sleep", "600"], env=made.engine.variables)
    assert left.wait() == -signal.SIGKILL
    with worlds.prepared("up") as made:
        assert made.engine.folder == folder
        assert (made.signature(), made.engine.text(), made.engine.resources()) == (prepared, printed, [])
        assert prepared != deployed


def test_shards_hold_every_case_once() -> None:
    """Machines that share a sweep run all of it, and none of it twice."""
    every = [
        Case(operation="up", route=Route("fly", "GET", f"/v1/apps/{number}"), after=0, fault="500")
        for number in range(100)
    ]
    parts = [shard(every, number, 3) for number in (1, 2, 3)]
    assert all(parts)
    assert sorted(case.name for part in parts for case in part) == sorted(case.name for case in every)
    assert shard(every[50:], 2, 3) == [case for case in parts[1] if case in every[50:]]


def test_what_is_twice_on_the_server_is_seen(made: Stage) -> None:
    """The control of the end: one automation too many, one that sends nowhere and is off, one block too many."""
    server = Objects(made.sandbox.world.options.home / "objects-of-a-server.json")

    def keep(kind: str, **content: object) -> str:
        answer = server.answer("POST", f"/{kind}/", content)
        assert answer is not None
        return str(json.loads(json.dumps(answer[1]))["id"])

    def sends(block: str, *, enabled: bool = True) -> None:
        keep("automations", name="failed", enabled=enabled, actions=[{"block_document_id": block}])

    block = keep("block_documents", name="ops", block_type_id="webhook")
    sends(block)
    assert made.signature()["automations"] == [["failed", True, ["ops"]]]
    sends(block)
    sends("none", enabled=False)
    keep("block_documents", name="ops", block_type_id="slack")
    found = made.signature()
    assert found["automations"] == [["failed", False, [None]], ["failed", True, ["ops"]], ["failed", True, ["ops"]]]
    assert found["blocks"] == ["ops", "ops"]


@pytest.mark.long
def test_an_automation_whose_answer_is_lost_is_not_made_twice(worlds: Worlds, clean_of: Callable[[str], Clean]) -> None:
    """A fault between the engine and the server itself: a channel is made once, and the sweep has a case for it."""
    clean = clean_of("alert")
    assert [len(clean.signature[kind]) for kind in ("blocks", "automations")] == [1, 2]
    route = Route("edge", "POST", f"/{captionacc.SERVER}/api/automations/")
    lost = [case for case in cases("alert", clean) if (case.route, case.fault) == (route, "reset after the effect")]
    outcome = run_case(lost[0], clean, worlds)
    assert outcome.hits == 1
    assert not outcome.violations, outcome


def test_a_server_that_goes_too_early_is_seen(made: Stage) -> None:
    """The control of the watch: the server's app vanishes while the orchestrator uses it."""
    made.engine.up()
    apps = made.sandbox.fly.state.apps
    with made.watched():
        app = apps.pop(captionacc.SERVER)
        while not made.said:
            made.sandbox.status()
    apps[captionacc.SERVER] = app  # so that its machine is ended with the sandbox
    assert made.said[0].startswith("the server is gone, and the orchestrator says")


def test_a_printed_secret_is_found(made: Stage) -> None:
    """The control of the search: a password in clear, another in a URL's spelling, a generated key within a login."""
    made.engine.up()
    assert made.leaks() == []
    made.engine.output.append("… canary-of-the-database-5b1f …")
    made.engine.output.append(quote(made.sandbox.env()["GITHUB_TOKEN"], safe=""))
    made.engine.output.append("http://127.0.0.1:9/hooks/canary-of-the-channel-83c1\n")
    made.engine.output.append(made.engine.outputs()["uiLogin"])
    said = ["the database's password", "the channel's address", "GITHUB_TOKEN", "a generated key"]
    assert made.leaks() == [f"{name} stands in the output" for name in said]


def test_a_failure_without_a_sentence_is_a_violation(made: Stage) -> None:
    """The control of the sentences: bad settings fail with one, something else without."""
    made.engine.set({"prefect-fly:fly": {}})
    assert not made.survives(made.engine.up)
    assert made.said == []

    def silent() -> None:
        made.engine.output.append("Traceback (most recent call last):")
        raise automation.CommandError(automation.CommandResult(stdout="", stderr="", code=1))

    assert not made.survives(silent)
    assert made.said == ["it failed without saying why", "it failed with a traceback"]
