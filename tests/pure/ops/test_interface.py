from __future__ import annotations

import argparse
import io
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from clients.endpoints import World
from ops import arguments
from ops.__main__ import VERBS, build_parser, main, module_of
from ops.errors import OpsError
from ops.runtime import LONGEST_LINE, Progress, Runtime, cut_lines, runtime
from ops.stack_settings import flags_of, from_stack
from tests.support.ops_runtime import Surroundings
from tests.support.scripted_http import FakeClock


def test_every_verb_is_documented() -> None:
    """docs/ops.md has a section for each verb and names each of its flags."""
    text = (Path(__file__).parents[3] / "docs/ops.md").read_text(encoding="utf-8")
    for verb in VERBS:
        assert f"## {verb}\n" in text
        parser = argparse.ArgumentParser()
        module_of(verb).add_arguments(parser)
        assert not [flag for flag in parser._option_string_actions if len(flag) > 2 and flag not in f"{text} --help"]


def test_abbreviated_flags_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """An abbreviation would become part of the interface, and is no flag."""
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_args(["verify-server", "--server-url", "x", "--server-app", "y", "--time", "3"])
    assert ended.value.code == 2
    assert "unrecognized arguments: --time 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ('{"reason": "prefect", "dry": true, "count": 2}', {"reason": "prefect", "dry": "true", "count": "2"}),
        ("{}", {}),
    ],
)
def test_workflow_inputs_become_texts(text: str, read: dict[str, str]) -> None:
    """GitHub takes texts; booleans and numbers are spelled as in JSON."""
    assert arguments.workflow_inputs(text) == read


@pytest.mark.parametrize("text", ["", "reason=prefect", "[]", '{"a": {"b": 1}}', '{"a": null}'])
def test_other_workflow_inputs_are_refused(text: str) -> None:
    """Anything but an object of plain values is refused before a call is made."""
    with pytest.raises(argparse.ArgumentTypeError, match="JSON object of texts"):
        arguments.workflow_inputs(text)


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["redeploy", "--orchestrator-app", "a"], "--by workflow needs --repository and --workflow"),
        (["emergency-detach"], 'could not read flag "--orchestrator-app": it is not set'),
        (["detach", "--app", "a", "--health-url", "https://a.fly.dev/health"], "endpoints: sandbox, which only talks"),
    ],
)
def test_what_is_missing_or_of_the_other_world_is_one_sentence(
    argv: list[str], told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1 and a sentence, no traceback and no call."""
    for name in ("FLY_FLAPS_BASE_URL", "FLY_API_BASE_URL", "GITHUB_API_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert main([*argv, "--endpoints", "sandbox"]) == 1
    assert told in capsys.readouterr().err


def test_a_stack_completes_the_flags_and_a_flag_wins() -> None:
    """`pulumi config --json` is read as groups; URL and repository are put together from their parts."""
    config: dict[str, dict[str, Any]] = {
        "github:owner": {"value": "captionacc"},
        "prefect-fly:endpoints": {"value": "sandbox"},
        "prefect-fly:fly": {"value": "", "objectValue": {"org": "captionacc", "app": "captionacc-prefect"}},
        "prefect-fly:orchestrator": {"value": '{"app":"o","healthUrl":"http://127.0.0.1:1/health"}'},
        "prefect-fly:github": {"value": "", "objectValue": {"repository": "captionacc"}},
        "prefect-fly:databaseUrl": {"secret": True},
    }
    assert flags_of("dev", config) == {
        "endpoints": "sandbox",
        "org": "captionacc",
        "server_app": "captionacc-prefect",
        "server_url": "https://captionacc-prefect.fly.dev",
        "orchestrator_app": "o",
        "health_url": "http://127.0.0.1:1/health",
        "repository": "captionacc/captionacc",
        "workflow": "deploy-orchestrator.yml",
    }


def test_a_stack_of_the_other_world_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stack that states real is not handled in the sandbox; where no world is asked for, it is the stack's."""
    monkeypatch.setattr("ops.stack_settings.settings_of", lambda _stack: {"endpoints": "real", "app": "o"})
    with pytest.raises(OpsError, match="it states endpoints: real, but --endpoints is sandbox"):
        from_stack(argparse.Namespace(stack="prod", endpoints="sandbox"), Surroundings(FakeClock()).rt)
    assert from_stack(argparse.Namespace(stack="prod"), Surroundings(FakeClock()).rt).rt.world is World.REAL
    monkeypatch.setattr(
        "ops.stack_settings.settings_of", lambda _stack: {"endpoints": "sandbox", "app": "o", "org": "g"}
    )
    found = from_stack(argparse.Namespace(stack="s", app="other"), Surroundings(FakeClock()).rt)
    assert (found.get("app"), found.get("org"), found.get("workflow")) == ("other", "g", "")


def test_waiting_prints_news_at_once_and_repeats_every_ten_seconds() -> None:
    """The same text is printed again only after 10 seconds of silence; a new one immediately."""
    clock, stream = FakeClock(now=0.0), io.StringIO()
    progress = Progress(stream, clock.time)
    for _ in range(25):
        progress.waiting("queued")
        clock.sleep(1)
    progress.waiting("in progress")
    assert stream.getvalue().splitlines() == [
        "    0 s  queued",
        "   10 s  queued",
        "   20 s  queued",
        "   25 s  in progress",
    ]


def test_a_countdown_alone_is_no_news() -> None:
    """Seconds left are shown with each line, but do not make one."""
    clock, stream = FakeClock(now=0.0), io.StringIO()
    progress = Progress(stream, clock.time)
    for second in range(12):
        progress.waiting("run 1 is queued", 60.0 - second)
        clock.sleep(1)
    assert stream.getvalue().splitlines() == [
        "    0 s  run 1 is queued; 60 s left",
        "   10 s  run 1 is queued; 50 s left",
    ]


def test_until_looks_once_more_at_the_deadline() -> None:
    """The last look is at the deadline itself, so that what came in the last interval still counts."""
    clock = FakeClock(now=0.0)
    rt = Runtime(world=World.SANDBOX, progress=Progress(), poll=5.0, clock=clock.time, sleep=clock.sleep)
    assert (*rt.until(12),)[-1] == 0
    assert clock.now == pytest.approx(12)
    assert list(rt.until(0)) == [0]


def test_what_takes_long_is_looked_at_a_poll_apart() -> None:
    """After a minute the pauses are as long as the runtime allows, and no longer."""
    clock = FakeClock(now=0.0)
    rt = Runtime(world=World.SANDBOX, progress=Progress(), poll=5.0, clock=clock.time, sleep=clock.sleep)
    looks = [clock.now for _left in rt.until(90)]
    assert looks[1] < 1
    assert [later - earlier for earlier, later in pairwise(looks) if 60 < earlier < 80] == [5.0] * 4


@pytest.mark.parametrize(("world", "apart"), [(World.REAL, 2.0), (World.SANDBOX, 0.25)])
def test_the_end_of_a_long_wait_is_seen_soon(world: World, apart: float) -> None:
    """However long a deploy takes, the next look is no more than this many seconds away."""
    clock = FakeClock(now=0.0)
    rt = replace(runtime(world), clock=clock.time, sleep=clock.sleep)
    looks = [clock.now for _left in rt.until(600)]
    assert max(later - earlier for earlier, later in pairwise(looks)) <= apart + 0.001


def test_no_line_is_longer_than_the_command_plugin_can_read(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other programs' lines reach progress and errors: after 64 KB in one line the plugin would wait for ever."""
    long = "é" * 200_000

    def fail(_args: argparse.Namespace, rt: Runtime) -> dict[str, object]:
        rt.progress.say(long)
        raise OpsError(f"could not do it:\n{long}\nthe end")

    monkeypatch.setattr(module_of("doctor"), "run", fail)
    assert main(["doctor"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert max(len(line.encode()) for line in lines) < 64 * 1024
    assert lines[-1] == "the end"
    assert lines[2].endswith(f"é [{200_000 - LONGEST_LINE} characters cut off]")


def test_ordinary_lines_are_left_as_they_are() -> None:
    """Nothing is cut or joined that the plugin can read."""
    text = f"a\n\n{'b' * LONGEST_LINE}\n"
    assert cut_lines(text) == text
