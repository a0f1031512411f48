"""How long a plugin lives: as long as its engine, and not a complaint longer."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from proof.processes import running
from tests.support.cli_stack import CliStack
from tests.support.waiting import PATIENCE, until

pytestmark = [pytest.mark.engine]

# The shell's parent is the plugin; the command writes down both and then runs until somebody ends it.
WAITING = """
    from pulumi_command import local

    local.Command("one", create="echo $PPID > plugin; echo $$ > command.tmp; mv command.tmp command; exec sleep 3600")
"""


def until_there(path: Path) -> int:
    """The number in a file, once the file is there."""
    until(path.exists, lambda: f"{path.name} was never written")
    return int(path.read_text())


def until_ended(pid: int) -> None:
    """Wait until a process is gone; one that nobody collected counts as gone."""
    until(lambda: not running(pid), lambda: f"process {pid} is still there")


def test_a_plugin_ends_when_its_engine_was_killed(stack: CliStack) -> None:
    """After kill -9 of the CLI neither the plugin nor the command that it runs is left behind."""
    stack.program(WAITING)
    with stack.start("up", "--yes", "--skip-preview") as process:
        command = until_there(stack.folder / "command")
        plugin = until_there(stack.folder / "plugin")
        process.kill()
        until_ended(plugin)
        until_ended(command)


def test_an_interrupted_up_ends_the_command_and_says_nothing_of_a_crash(stack: CliStack) -> None:
    """One ^C ends the running command; the engine sees the plugin end as it should, not "prematurely"."""
    stack.program(WAITING)
    with stack.start("up", "--yes", "--skip-preview") as process:
        command = until_there(stack.folder / "command")
        process.send_signal(signal.SIGINT)
        text, _ = process.communicate(timeout=PATIENCE)
    until_ended(command)
    assert "signal: " in text
    assert "exited prematurely" not in text


def test_a_failed_up_says_nothing_of_a_crash(stack: CliStack) -> None:
    """One command fails while another still has an open pipe: the plugin's end is not called premature."""
    stack.program(
        """
        from pulumi_command import local

        local.Command("quick", create="echo $PPID > plugin; exit 1")
        local.Command("slow", create="until test -s plugin; do :; done; (sleep 1; echo late) & exit 0")
        """
    )
    text = stack.up(expect=1)
    assert "exit status 1" in text
    assert "exited prematurely" not in text
    until_ended(until_there(stack.folder / "plugin"))
