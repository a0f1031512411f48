"""What the workflows write to GitHub: one comment a stack, one issue a drift."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ci import __main__ as ci
from ci import report_drift, report_preview
from ci.comment import marker
from ci.errors import CiError
from ci.github import Repository
from tests.support.fake_issues import FakeIssues
from tests.support.scripted_http import answer

Drift = Callable[[str, str], None]


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> FakeIssues:
    fake = FakeIssues()
    for module in (report_drift, report_preview):
        monkeypatch.setattr(module.Repository, "from_environment", fake.repository)
    monkeypatch.setenv("GITHUB_REPOSITORY", "captionacc/prefect-fly")
    monkeypatch.setenv("GITHUB_RUN_ID", "77")
    return fake


@pytest.fixture
def drift(github: FakeIssues, tmp_path: Path) -> Drift:
    def report(drifted: str, text: str) -> None:
        (tmp_path / "drift.md").write_text(text)
        assert ci.main(["report-drift", "--stack", "prod", "--text", f"{tmp_path}/drift.md", "--drift", drifted]) == 0

    return report


def test_a_second_push_writes_over_the_comment_of_the_first(github: FakeIssues, tmp_path: Path) -> None:
    """The bot's own comment of this stack is replaced; a person's quote of it and the other stack's are left alone."""
    text = tmp_path / "preview.md"
    github.say(7, f"{marker('prod')} quoted", by="User")
    github.say(7, f"{marker('staging')} other")
    for said in ("first", "second"):
        text.write_text(f"{marker('prod')} {said}")
        assert ci.main(["report-preview", "--stack", "prod", "--text", str(text), "--pull-request", "7"]) == 0
    assert [each["body"].rpartition(" ")[2] for each in github.comments] == ["quoted", "other", "second"]


def test_a_comment_is_found_on_the_second_page(github: FakeIssues) -> None:
    """A pull request with more than a hundred comments still gets one of ours."""
    for number in range(120):
        github.say(7, f"remark {number}", by="User")
    github.say(7, f"{marker('prod')} old")
    github.repository().put_comment(7, f"{marker('prod')} new", marked=marker("prod"))
    assert len(github.comments) == 121
    assert github.comments[-1]["body"].endswith("new")


def test_drift_is_one_issue_until_it_is_gone(github: FakeIssues, drift: Drift) -> None:
    """Opened once, extended by the next look, closed by the first clean one; the run that saw it is named."""
    drift("true", "the machine differs")
    drift("true", "it still does")
    (issue,) = github.issues
    assert (issue["title"], issue["state"]) == ("Drift on stack prod", "open")
    assert "captionacc/prefect-fly/actions/runs/77" in issue["body"]
    assert [each["body"].partition("\n")[0] for each in github.comments] == ["it still does"]
    drift("false", "clean")
    assert issue["state"] == "closed"
    drift("false", "clean")
    assert len(github.comments) == 2


def test_nothing_is_concluded_while_a_deploy_runs(github: FakeIssues, drift: Drift) -> None:
    """What a look sees in the middle of an update is half of it: no issue is opened and none is closed."""
    github.runs = ["completed", "in_progress"]
    drift("true", "half an update")
    assert github.issues == []


def test_a_refusal_is_one_sentence(github: FakeIssues, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A token without the permission: what could not be done, GitHub's words, the request id, where to look."""
    github.refuse = answer(403, {"message": "Resource not accessible by integration"}, {"X-GitHub-Request-Id": "AB:12"})
    (tmp_path / "text").write_text("x")
    assert ci.main(["report-preview", "--stack", "prod", "--text", f"{tmp_path}/text", "--pull-request", "7"]) == 1
    assert capsys.readouterr().err == (
        "could not read /issues/7/comments: Resource not accessible by integration (HTTP 403, request id AB:12). "
        "Look at the job's permissions in its workflow.\n"
    )


def test_outside_of_a_workflow_nothing_is_written() -> None:
    """Without what GitHub sets for a step, the sentence names what is missing."""
    with pytest.raises(CiError, match="GITHUB_WORKFLOW_TOKEN not set"):
        Repository.from_environment({"GITHUB_REPOSITORY": "a/b"})


@pytest.mark.parametrize("body", [None, {"message": "x"}, ["x"], [{"title": "Drift", "user": {"type": "Bot"}}]])
def test_a_reply_of_another_shape_is_one_sentence(github: FakeIssues, body: object) -> None:
    """A proxy's page or half a reply ends the step with a sentence, and nothing is taken for an empty list."""
    github.refuse = answer(200, body, {"Content-Type": "application/json"})
    if body is None:
        github.refuse._content = b"<html>busy</html>"
    with pytest.raises(
        CiError, match=r"could not read /issues: GitHub did not answer what was asked, .*\. Run the job again"
    ):
        github.repository().open_issue("Drift")
    with pytest.raises(CiError, match="could not read the runs"):
        github.repository().busy("deploy.yml")


def test_what_says_nothing_of_its_author_is_not_the_bots(github: FakeIssues) -> None:
    """A deleted account has no user; its issue and its comment are left alone."""
    github.issues.append({"number": 1, "state": "open", "title": "Drift", "user": None})
    github.comments.append({"id": 1, "issue": 7, "body": "mark old", "user": None})
    assert github.repository().open_issue("Drift") is None
    github.repository().put_comment(7, "mark new", marked="mark")
    assert [each["body"] for each in github.comments] == ["mark old", "mark new"]
