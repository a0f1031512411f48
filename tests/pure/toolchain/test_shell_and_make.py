"""What people source and type: env.sh in three shells, the Makefile's help, the length gate, the progress lines."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from toolchain import progress
from toolchain.errors import BuildFailedError
from toolchain.places import BIN, ROOT, VENV


def in_shell(shell: str, script: str, cwd: Path = ROOT) -> str:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"{shell} is not on this machine")
    env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "PULUMI_BACKEND_URL": "file:///mine"}
    done = subprocess.run([path, "-c", script], cwd=cwd, env=env, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("shell", ["sh", "bash", "zsh"])
def test_the_sourced_script_puts_our_tools_first(shell: str) -> None:
    """In each shell Python is .venv's, `pulumi` is found, and the user's backend is left alone."""
    text = in_shell(shell, ". toolchain/env.sh; command -v python; command -v pulumi; echo $PULUMI_BACKEND_URL")
    python, pulumi, backend = text.splitlines()
    assert python == str(VENV / "bin" / "python")
    assert Path(pulumi).is_file()
    assert backend == "file:///mine"


def test_bash_finds_the_checkout_from_anywhere(tmp_path: Path) -> None:
    """Sourced by its path from another folder it still works, and sourcing twice adds nothing to PATH."""
    once = in_shell("bash", f". {ROOT}/toolchain/env.sh; echo $PATH", tmp_path)
    twice = in_shell("bash", f". {ROOT}/toolchain/env.sh; . {ROOT}/toolchain/env.sh; echo $PATH", tmp_path)
    assert once.split(":")[0] == str(VENV / "bin")
    assert once.count(str(BIN)) == twice.count(str(BIN)) <= 1


def test_plain_sh_elsewhere_says_what_to_do(tmp_path: Path) -> None:
    """A shell that cannot know where the script lies says so instead of failing strangely."""
    done = in_shell("dash", f". {ROOT}/toolchain/env.sh 2>&1", tmp_path)
    assert done == "could not find the checkout: source toolchain/env.sh from its root.\n"


def test_make_help_names_every_target() -> None:
    """`make` alone shows one line for each thing a person can do."""
    text = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in (
        "setup",
        "test",
        "test-all",
        "test-fast",
        "test-plugins",
        "check",
        "demo",
        "demo-rollback",
        "demo-stop",
    ):
        assert f"make {target} " in text


def test_ci_calls_make_test_and_is_executable() -> None:
    """CI's one command is the one that people type."""
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert [line for line in script.read_text().splitlines() if " make test &" in line]


@pytest.mark.parametrize(
    ("target", "variables", "all_of_them"),
    [("test", {}, False), ("test", {"CI": "true"}, True), ("test-all", {}, True), ("test-all", {"CI": "true"}, True)],
)
def test_nothing_is_left_out_in_ci(target: str, variables: dict[str, str], all_of_them: bool) -> None:
    """`make test` leaves the long tests out for a person alone, and fails for too little coverage in CI alone."""
    env = {"PATH": os.environ["PATH"], **variables}
    argv = ["make", "--dry-run", target]
    said = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=True).stdout
    [line] = [line for line in said.splitlines() if " -m pytest " in line]
    assert ('-m "not long"' not in line) == all_of_them
    assert "-k " not in line
    assert ("--cov-fail-under=95" in line) == ("CI" in variables)


def test_a_step_shows_what_and_how_long() -> None:
    """The first line names the step, the last says what came of it and after how many seconds."""
    stream = io.StringIO()
    step = progress.Step("making a thing", stream)
    step.tick()
    step.done()
    assert stream.getvalue() == "toolchain: making a thing …\ntoolchain: making a thing: ready after 0 s\n"


def test_a_failing_step_quotes_its_program(tmp_path: Path) -> None:
    """The error holds the last lines that the program printed on either stream, and where the rest is."""
    step = progress.Step("making a thing", io.StringIO())
    code = "import sys; print('said'); print('shouted', file=sys.stderr); sys.exit(4)"
    argv = [sys.executable, "-c", code]
    with pytest.raises(BuildFailedError, match=r"could not make it \(exit code 4; .*/log\); it said:\n") as caught:
        progress.run_step(step, argv, cwd=tmp_path, env=os.environ, verb="make it", log=tmp_path / "log")
    assert {"said", "shouted"} <= set(str(caught.value).splitlines())


class Terminal(io.StringIO):
    """A stream that a person looks at, who does something once a text has been shown."""

    def __init__(self, text: str, then: Callable[[], object]) -> None:
        super().__init__()
        self._text, self._then = text, then

    def isatty(self) -> bool:
        """Tell that lines may be written over."""
        return True

    def write(self, text: str) -> int:
        """Keep what is written."""
        if self._text in text:
            self._then()
        return super().write(text)


def test_a_step_on_a_terminal_shows_what_its_program_said_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While pip works its last whole line stands behind the seconds, in one line of the terminal's width."""
    monkeypatch.setattr(progress, "_TERMINAL_TICK", 0.0)
    monkeypatch.setenv("COLUMNS", "60")
    go_on = tmp_path / "go-on"
    stream = Terminal("Downloading x", go_on.touch)
    step = progress.Step("installing", stream)
    script = (
        f"echo Collecting; echo Downloading {'x' * 80}; printf unfinished; until test -e {go_on}; do sleep 0.1; done"
    )
    progress.run_step(step, ["sh", "-c", script], cwd=tmp_path, env=os.environ, verb="do it", log=tmp_path / "log")
    step.done()
    lines = [line.partition("\x1b")[0] for line in stream.getvalue().split("\r")]
    assert "unfinished" not in stream.getvalue()
    assert max(map(len, lines)) == 59
    assert lines[-1].startswith("toolchain: installing: ready after ")


def long_program(tmp_path: Path) -> None:
    step = progress.Step("waiting", io.StringIO())
    argv = [sys.executable, "-c", "import time; time.sleep(600)"]
    progress.run_step(step, argv, cwd=tmp_path, env=os.environ, verb="wait", log=tmp_path / "log")


def failing() -> None:
    raise BuildFailedError("could not do the one thing")


def test_steps_side_by_side_all_end() -> None:
    """All the work is done when the call returns."""
    done: list[str] = []
    progress.side_by_side(lambda: done.append("one"), lambda: done.append("other"))
    assert sorted(done) == ["one", "other"]


@pytest.mark.parametrize("failing_first", [True, False])
def test_a_failure_ends_what_runs_beside_it(tmp_path: Path, failing_first: bool) -> None:
    """The failure is raised at once, the other's program does not run on, and afterwards steps run as ever."""
    works = [failing, lambda: long_program(tmp_path)]
    with pytest.raises(BuildFailedError, match=r"^could not do the one thing$"):
        progress.side_by_side(*(works if failing_first else reversed(works)))
    step = progress.Step("again", io.StringIO())
    progress.run_step(step, ["true"], cwd=tmp_path, env=os.environ, verb="go on", log=tmp_path / "log")
