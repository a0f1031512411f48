"""`python -m sandbox` starts one sandbox in the background, finds it again, and ends it with all it started."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from proof.processes import below, running
from sandbox.captionacc import ORCHESTRATOR
from sandbox.daemon import running_pid
from sandbox.home import forget
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    sandbox(tmp_path / "home", "stop")
    forget(tmp_path / "home")


def sandbox(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    argv = [sys.executable, "-m", "sandbox", "--home", str(home), *arguments]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)


def environment(home: Path) -> dict[str, str]:
    """Return the variables that `env` prints, read the way a shell does."""
    done = sandbox(home, "env")
    assert done.returncode == 0, done.stderr
    words = [shlex.split(line) for line in done.stdout.splitlines()]
    assert all(word[0] == "export" for word in words)
    return dict(word[1].split("=", 1) for word in words)


def until_gone(pids: set[int]) -> None:
    """Wait until none of them is alive any more."""
    until(lambda: not any(map(running, pids)))


def memory(pid: int) -> bytes:
    """The environment that a process still has; a process that is ending, or gone, has none."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


@pytest.mark.prefect
def test_whole_life(home: Path) -> None:
    """Start, start again, status, env, stop, start: one sandbox, the same addresses, and no process is left."""
    first = sandbox(home, "start", "--driver", "process")
    assert first.returncode == 0, first.stderr
    pid = running_pid(home)
    assert pid is not None
    env = environment(home)
    assert env["FLY_FLAPS_BASE_URL"] in first.stdout
    assert env["FLY_API_TOKEN"] not in first.stdout
    assert sandbox(home, "start", "--driver", "process").returncode == 0
    assert running_pid(home) == pid
    status = json.loads(sandbox(home, "status", "--json").stdout)
    assert status["orchestrator"]["health"]["components"]["prefect"] == "not_configured"
    assert f"Fly app {ORCHESTRATOR}" in sandbox(home, "status").stdout
    started = below(pid) - {pid}
    assert len(started) >= 3
    assert sandbox(home, "stop").returncode == 0
    assert not memory(pid)
    until_gone(started | {pid})
    assert sandbox(home, "stop").stdout == "No sandbox ran.\n"
    assert sandbox(home, "start", "--driver", "process").returncode == 0
    assert environment(home) == env


def test_killed_sandbox(home: Path) -> None:
    """After SIGKILL nothing is taken for running; stop ends the database it left, and start goes on from there."""
    assert sandbox(home, "start", "--driver", "process").returncode == 0
    env, pid = environment(home), running_pid(home)
    assert pid is not None
    started = below(pid) - {pid}
    os.kill(pid, signal.SIGKILL)
    until_gone({pid})
    done = sandbox(home, "status")
    assert done.returncode == 1
    assert "none runs on" in done.stderr
    sandbox(home, "stop")
    until_gone(started)
    assert sandbox(home, "start", "--driver", "process").returncode == 0
    assert environment(home) == env


def test_reset_forgets_only_its_own(home: Path) -> None:
    """A reset brings the first world back on new addresses and leaves other files of the home alone."""
    assert sandbox(home, "start", "--driver", "emulated").returncode == 0
    (home / "pulumi").mkdir()
    env = environment(home)
    token = {"Authorization": f"Bearer {env['FLY_API_TOKEN']}"}
    url = f"{env['FLY_FLAPS_BASE_URL']}/v1/apps"
    body = {"name": "other", "org_slug": "captionacc"}
    assert requests.post(url, json=body, headers=token, timeout=600).status_code == 201
    assert sandbox(home, "reset", "--driver", "emulated").returncode == 0
    status = json.loads(sandbox(home, "status", "--json").stdout)
    assert [app["name"] for app in status["fly"]["apps"]] == [ORCHESTRATOR]
    assert environment(home)["FLY_API_TOKEN"] != env["FLY_API_TOKEN"]
    assert (home / "pulumi").is_dir()


def test_files_with_secrets_are_private(home: Path) -> None:
    """State and environment can be read by their owner only; the log holds no token."""
    assert sandbox(home, "start", "--driver", "emulated").returncode == 0
    for name in ("state.json", "env.json"):
        assert (home / name).stat().st_mode & 0o077 == 0
    for value in (environment(home)[name] for name in ("FLY_API_TOKEN", "GITHUB_TOKEN", "SANDBOX_CLOUD_API_KEY")):
        assert value not in (home / "sandbox.log").read_text()
        assert value not in Path(f"/proc/{running_pid(home)}/cmdline").read_text()
