"""The emulated GitHub answers as the facts say: sealed secrets, dispatches with or without details, timed runs."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from sandbox.github.models import Run, Workflow
from sandbox.github.state import GitHubState
from tests.sandbox.sandbox.github.caller import DISPATCH, REPO, RUNS, TOKEN, Caller, run, until


def test_token_is_needed() -> None:
    """A wrong token is 401 in GitHub's own words, and an unknown route names itself with 501."""

    async def test(github: Caller) -> None:
        status, body = await github.call("GET", REPO, Authorization="Bearer wrong")
        assert (status, body["message"]) == (401, "Bad credentials")
        assert (await github.call("GET", "/orgs/captionacc"))[0] == 200
        assert (await github.call("GET", "/orgs/nobody"))[0] == 404
        status, body = await github.call("GET", f"{REPO}/stargazers")
        assert status == 501
        assert f"GET {REPO}/stargazers" in body["message"]

    run(test)


def test_dispatch_with_details() -> None:
    """Asked for details a dispatch names its run, which walks queued, in_progress, completed on the clock."""

    async def test(github: Caller) -> None:
        status, found = await github.call("POST", DISPATCH, {"ref": "main", "return_run_details": True})
        assert status == 200
        number = found["workflow_run_id"]
        assert found["html_url"].endswith(f"/captionacc/captionacc/actions/runs/{number}")
        assert (await until(github, number, "queued"))["conclusion"] is None
        await until(github, number, "in_progress")
        done = await until(github, number, "completed")
        assert done["conclusion"] == "success"
        _, jobs = await github.call("GET", f"{REPO}/actions/runs/{number}/jobs")
        assert jobs["jobs"][0]["conclusion"] == "success"

    run(test)


def test_dispatch_without_details() -> None:
    """Unasked it answers 204; the run shows up in the list a little later and can be found by its title and filters."""

    async def test(github: Caller) -> None:
        status, body = await github.call("POST", DISPATCH, {"ref": "main", "inputs": {"nonce": "n-1"}})
        assert (status, body) == (204, None)
        assert (await github.call("GET", RUNS))[1]["total_count"] == 0
        await github.service.clock.advance_in_steps(0.6)
        _, listed = await github.call("GET", f"{RUNS}?event=workflow_dispatch&branch=main")
        assert [each["display_title"] for each in listed["workflow_runs"]] == ["Deploy n-1"]
        created = listed["workflow_runs"][0]["created_at"]
        for query, count in (
            (f"created=%3E={created}", 1),
            (f"created=%3E{created}", 0),
            (f"created={created}..*", 1),
            (f"created=%3C{created}", 0),
            ("created=2020-01-01..2020-12-31", 0),
            ("head_sha=0000", 0),
            ("status=completed", 0),
            ("branch=other", 0),
        ):
            assert (await github.call("GET", f"{RUNS}?{query}"))[1]["total_count"] == count, query
        assert (await github.call("GET", f"{RUNS}?created=yesterday"))[0] == 422

    run(test)


def test_enterprise_server_refuses_details() -> None:
    """In GHES mode the field is 400 and starts nothing; without it the dispatch is 204 whatever the version header."""

    async def test(github: Caller) -> None:
        github.service.state.ghes = True
        status, body = await github.call("POST", DISPATCH, {"ref": "main", "return_run_details": True})
        assert status == 400
        assert "return_run_details" in body["message"]
        assert not github.service.state.repository("captionacc/captionacc").runs
        version = {"X-GitHub-Api-Version": "2026-03-10"}
        assert (await github.call("POST", DISPATCH, {"ref": "main"}, **version))[0] == 204
        github.service.state.ghes = False
        assert (await github.call("POST", DISPATCH, {"ref": "main"}, **version))[0] == 200

    run(test)


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        (f"{REPO}/actions/workflows/other.yml/dispatches", {"ref": "main"}, 404, "Not Found"),
        (DISPATCH, {"ref": "gone"}, 422, "No ref found for: gone"),
        (DISPATCH, {}, 422, '"ref" wasn\'t supplied'),
        (DISPATCH, {"ref": "main", "inputs": {"x": "1"}}, 422, 'Unexpected inputs provided: ["x"]'),
        (DISPATCH, {"ref": "main", "reef": "x"}, 422, '"reef" is not a permitted key'),
    ],
)
def test_bad_dispatch(path: str, body: dict[str, Any], status: int, message: str) -> None:
    """A dispatch that means nothing is refused in GitHub's words."""

    async def test(github: Caller) -> None:
        got, answer = await github.call("POST", path, body)
        assert got == status
        assert message in answer["message"]

    run(test)


def test_lost_answer_of_a_dispatch() -> None:
    """A dispatch whose answer is lost was accepted all the same: sending it again would deploy twice."""

    async def test(github: Caller) -> None:
        github.service.faults.add("POST", "/dispatches$", drop_answer=True)
        with pytest.raises(aiohttp.ClientError):
            await github.call("POST", DISPATCH, {"ref": "main"})
        await github.service.clock.advance_in_steps(1)
        assert (await github.call("GET", RUNS))[1]["total_count"] == 1

    run(test)


def test_conclusions() -> None:
    """What the workflow really does decides how a run ends, a script overrides it, and a cancelled run is cancelled."""

    async def test(github: Caller) -> None:
        seen: list[str] = []

        async def work(workflow: Workflow, run: Run) -> str:
            seen.append(f"{workflow.file} {run.status}")
            return "failure"

        github.service.runner.on_run = work
        ask = {"ref": "main", "return_run_details": True}
        first = (await github.call("POST", DISPATCH, ask))[1]["workflow_run_id"]
        assert (await until(github, first, "completed"))["conclusion"] == "failure"
        assert seen == ["deploy.yml in_progress"]
        github.service.state.script(conclusion="timed_out")
        second = (await github.call("POST", DISPATCH, ask))[1]["workflow_run_id"]
        assert (await until(github, second, "completed"))["conclusion"] == "timed_out"
        third = (await github.call("POST", DISPATCH, ask))[1]["workflow_run_id"]
        assert (await github.call("POST", f"{REPO}/actions/runs/{third}/cancel"))[0] == 202
        assert (await until(github, third, "completed"))["conclusion"] == "cancelled"
        assert (await github.call("POST", f"{REPO}/actions/runs/{third}/cancel"))[0] == 409
        assert len(seen) == 1

    run(test)


@pytest.mark.parametrize(("decision", "conclusion"), [("approved", "success"), ("rejected", "failure")])
def test_approval(decision: str, conclusion: str) -> None:
    """A run that needs an approval waits for it, however long, and then goes on or fails."""

    async def test(github: Caller) -> None:
        github.service.state.script(approval=True)
        ask = {"ref": "main", "return_run_details": True}
        number = (await github.call("POST", DISPATCH, ask))[1]["workflow_run_id"]
        await until(github, number, "waiting")
        await github.service.clock.advance_in_steps(3600)
        await until(github, number, "waiting")
        place = f"{REPO}/actions/runs/{number}/pending_deployments"
        assert len((await github.call("GET", place))[1]) == 1
        assert (await github.call("POST", place, {"state": decision, "environment_ids": [1]}))[0] == 200
        assert (await until(github, number, "completed"))["conclusion"] == conclusion

    run(test)


def test_state_outlives_a_restart() -> None:
    """What is dumped and loaded again keeps secrets, key pair and runs; a run under way counts as cancelled."""

    async def test(github: Caller) -> None:
        place = f"{REPO}/actions/secrets"
        body = await github.seal("kept")
        await github.call("POST", DISPATCH, {"ref": "main"})
        second = GitHubState()
        second.load(github.service.state.dump())
        github.service.state.clear()
        github.service.state.load(second.dump())
        assert (await github.call("PUT", f"{place}/A", body))[0] == 201
        assert github.service.state.secret("captionacc/captionacc", "A") == "kept"
        kept = github.service.state.repository("captionacc/captionacc").runs[0]
        assert (kept.status, kept.conclusion) == ("completed", "cancelled")

    run(test)


def test_runs_list_has_pages() -> None:
    """A long list comes in pages, newest first, each with a link to the next."""

    async def test(github: Caller) -> None:
        for _ in range(5):
            await github.call("POST", DISPATCH, {"ref": "main"})
        await github.service.clock.advance_in_steps(1)
        url: str | None = f"{github.service.url}{RUNS}?per_page=2"
        numbers: list[int] = []
        while url:
            async with github.session.get(url, headers={"Authorization": f"token {TOKEN}"}) as answer:
                numbers += [each["run_number"] for each in (await answer.json())["workflow_runs"]]
                url = str(answer.links["next"]["url"]) if "next" in answer.links else None
        assert numbers == [5, 4, 3, 2, 1]

    run(test)
