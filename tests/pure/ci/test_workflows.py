"""What the workflows in .github/ promise, read from the files themselves."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci.__main__ import build_parser
from sandbox.demo.stack import ROOT

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
ACTIONS = sorted((GITHUB / "actions").glob("*/action.yml"))


def read(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def jobs(name: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = read(GITHUB / "workflows" / name)["jobs"]
    return found


def steps() -> Iterator[dict[str, Any]]:
    for path in WORKFLOWS:
        for job in read(path)["jobs"].values():
            yield from job["steps"]
    for path in ACTIONS:
        yield from read(path)["runs"]["steps"]


def used(job: dict[str, Any]) -> list[str]:
    return [step["uses"] for step in job["steps"] if "uses" in step]


def test_every_foreign_action_is_pinned_by_commit_with_its_version() -> None:
    """A tag can be moved by whoever owns it; the comment is what Dependabot and people read."""
    lines = [
        line.strip() for path in (*WORKFLOWS, *ACTIONS) for line in path.read_text().splitlines() if "uses:" in line
    ]
    foreign = [line for line in lines if "uses: ./" not in line]
    assert len(foreign) >= 10
    assert [line for line in foreign if not re.search(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line)] == []
    versions = {re.search(r"uses: ([\w./-]+)@(.*)$", line).groups() for line in foreign}  # type: ignore[union-attr]
    assert len(versions) == len({name for name, _pin in versions}), "one action at two versions"


def test_shell_steps_are_programs_that_tests_run() -> None:
    """No step holds a script of its own: it calls make, a script of this repository, or a verb with flags it knows."""
    for step in (step for step in steps() if "run" in step):
        command = os.path.expandvars(step["run"]).strip()
        assert "\n" not in command, command
        words = shlex.split(re.sub(r'"?\$\{(\w+)\}"?', lambda found: _stand_in(found[1]), command))
        if words[:3] == [".venv/bin/python", "-m", "ci"]:
            build_parser().parse_args(words[3:])
        else:
            assert words[0] == "make" or os.access(ROOT / words[0], os.X_OK), command


def _stand_in(variable: str) -> str:
    return {"NUMBER": "7", "DRIFT": "true"}.get(variable, "prod")


def test_whoever_reaches_the_backend_may_ask_for_an_identity_and_nobody_else() -> None:
    """OIDC needs `id-token: write`; a job without a backend, such as a fork's, must not have it."""
    for path in WORKFLOWS:
        for name, job in read(path)["jobs"].items():
            may = job.get("permissions", {}).get("id-token") == "write"
            assert may == ("./.github/actions/backend" in used(job)), f"{path.name}: {name}"


def test_drift_and_deploy_do_not_wait_for_each_other() -> None:
    """Other concurrency groups: a queued deploy would be dropped for a drift that waits behind it."""
    deploying = {job["concurrency"]["group"] for job in jobs("deploy.yml").values()}
    looking = jobs("drift.yml")["drift"]["concurrency"]["group"]
    assert deploying == {"pulumi-staging", "pulumi-prod"}
    assert looking == "drift-${{ matrix.stack }}"
    assert not any(job["concurrency"]["cancel-in-progress"] for job in jobs("deploy.yml").values())


def test_forks_and_dependabot_get_no_secret() -> None:
    """Their job names none, writes nothing, and is exactly the one that runs when the other does not."""
    own, throw_away = jobs("preview.yml")["own"], jobs("preview.yml")["throw-away"]
    assert "secrets." not in yaml.safe_dump(throw_away)
    assert throw_away["permissions"] == {"contents": "read"}
    negated = own["if"].replace("==", "≠").replace("!=", "==").replace("≠", "!=").replace("&&", "||")
    assert throw_away["if"].split() == negated.split()
    assert not re.search(r"^  pull_request_target:", (GITHUB / "workflows" / "preview.yml").read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", ["deploy.yml", "preview.yml", "drift.yml"])
def test_the_engine_gets_every_credential_that_docs_name(name: str) -> None:
    """One that is missing in one workflow would show only there: a preview that passes and a deploy that does not."""
    wanted = set(re.findall(r"secrets\.(\w+)", (GITHUB / "workflows" / "deploy.yml").read_text()))
    text = (GITHUB / "workflows" / name).read_text()
    assert set(re.findall(r"secrets\.(\w+)", text)) == wanted
    documented = (ROOT / "docs" / "ci.md").read_text()
    assert [secret for secret in sorted(wanted) if secret not in documented] == []
    assert [name for name in set(re.findall(r"vars\.(\w+)", text)) if name not in documented] == []


def test_every_pin_file_says_the_same() -> None:
    """Dependabot changes the requirements and the constraints in one pull request: apart they cannot be installed."""
    pinned = {name: _pins(name) for name in ("requirements.txt", "requirements-dev.txt", "constraints.txt")}
    stated = pinned["requirements.txt"] | pinned["requirements-dev.txt"]
    assert {name: pinned["constraints.txt"].get(name) for name in stated} == stated


def _pins(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {re.sub(r"[-_.]+", "-", package).lower(): version for package, version in pairs}


def test_dependabot_knows_every_place_with_pins() -> None:
    """Each Go module and each folder with an action is named; folders that are gone are not."""
    updates = read(GITHUB / "dependabot.yml")["updates"]
    places = [(each["package-ecosystem"], folder) for each in updates for folder in _folders(each)]
    modules = {f"/{path.parent.relative_to(ROOT)}" for path in (ROOT / "toolchain" / "go").glob("*/go.mod")}
    assert {folder for system, folder in places if system == "gomod"} == modules
    assert ("github-actions", "/.github/actions/*") in places
    assert ("pip", "/") in places


def _folders(update: dict[str, Any]) -> list[str]:
    return update.get("directories") or [update["directory"]]
