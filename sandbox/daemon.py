"""The sandbox as a program in the background: started, found again, and ended by its own process id.

A running sandbox holds a lock on `<home>/sandbox.pid`, in which its id stands; a file without the lock is a leftover
and means nothing. When it is ready it writes `<home>/env.json`, which only its owner can read: it holds tokens.

What it is made of is in `sandbox.living`, which is loaded by the process that is the sandbox and by no other.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from sandbox.home import end_leftovers, forget
from sandbox.names import DriverName

START_SECONDS = 300.0
STOP_SECONDS = 60.0
_ROOT = Path(__file__).resolve().parents[1]


class DaemonError(RuntimeError):
    """The sandbox could not be started, asked or ended; the text is one sentence."""


def running_pid(home: Path) -> int | None:
    """Return the process id of the sandbox that runs on `home`, or None."""
    try:
        with (home / "sandbox.pid").open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return None
    except FileNotFoundError:
        return None
    except BlockingIOError:
        text = (home / "sandbox.pid").read_text().strip()
        return int(text) if text else None


def running(home: Path) -> dict[str, str] | None:
    """Return the environment of the sandbox that runs on `home`, once it is ready, or None.

    Raises:
        DaemonError: it ended or was not ready in time.
    """
    return _wait_ready(home, None) if running_pid(home) is not None else None


def start(home: Path, driver: DriverName) -> dict[str, str]:
    """Start a sandbox in the background and return its environment once it is ready.

    Raises:
        DaemonError: it ended or was not ready in time; the text ends with its log's tail.
    """
    home.mkdir(parents=True, exist_ok=True)
    (home / "env.json").unlink(missing_ok=True)
    with (home / "sandbox.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "sandbox", "--home", str(home), "start", "--foreground", "--driver", driver],
            cwd=_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return _wait_ready(home, process)


def stop(home: Path) -> bool:
    """End the sandbox on `home` with all it started; False when none ran.

    Raises:
        DaemonError: it did not end.
    """
    pid = running_pid(home)
    if pid is None:
        end_leftovers(home)
        return False
    for how in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(pid, how)
        deadline = time.monotonic() + STOP_SECONDS
        while running_pid(home) == pid:
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        else:
            end_leftovers(home)
            return True
    raise DaemonError(f"could not end the sandbox (pid {pid}): it outlived SIGKILL. Look at {home / 'sandbox.log'}.")


def reset(home: Path, driver: Callable[[], DriverName]) -> None:
    """Forget everything the sandbox has kept; one that ran is started again, with what `driver` chooses."""
    ran = stop(home)
    forget(home)
    if ran:
        start(home, driver())


def environment(home: Path) -> dict[str, str]:
    """Return the environment of the sandbox that runs on `home`.

    Raises:
        DaemonError: none runs.
    """
    found = running(home)
    if found is None:
        raise DaemonError(f'could not ask the sandbox: none runs on {home}. Start it with "python -m sandbox start".')
    return found


def status(home: Path) -> dict[str, Any]:
    """Return what the sandbox that runs on `home` holds.

    Raises:
        DaemonError: none runs, or it does not answer.
    """
    url = environment(home)["SANDBOX_STATUS_URL"]
    try:
        with urllib.request.urlopen(url, timeout=15) as answer:  # noqa: S310 - written by the sandbox itself
            found: dict[str, Any] = json.load(answer)
            return found
    except (urllib.error.URLError, TimeoutError) as error:
        raise DaemonError(f"could not ask the sandbox: {error}. Look at {home / 'sandbox.log'}.") from error


def _wait_ready(home: Path, process: subprocess.Popen[bytes] | None) -> dict[str, str]:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if (home / "env.json").exists():
            found: dict[str, str] = json.loads((home / "env.json").read_text(encoding="utf-8"))
            return found
        ended = process.poll() is not None if process else running_pid(home) is None
        if ended:
            break
        time.sleep(0.05)
    if process is not None and process.poll() is None:
        stop(home)
    tail = (home / "sandbox.log").read_text(errors="replace").splitlines()[-1:]
    raise DaemonError(tail[0] if tail else "could not start the sandbox: it said nothing.")
