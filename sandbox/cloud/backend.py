"""The real Prefect server behind the workspace, started when the first call needs it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from sandbox.core.child import bound_to_parent
from sandbox.core.ports import free_port

_START_SECONDS = 300.0
_STOP_SECONDS = 6.0
_INHERITED = ("PATH", "LANG", "LC_ALL", "TZ")


class BackendError(RuntimeError):
    """The Prefect server did not come up; the text names its log."""


class Backend:
    """One Prefect server on SQLite below `home`, without authentication, on a free loopback port.

    Attributes:
        program: what tests run instead of it, on the address that PREFECT_SERVER_API_HOST and _PORT name.
    """

    def __init__(self, home: Path) -> None:
        self.program: Sequence[str] = ()
        self._home = home
        self._process: asyncio.subprocess.Process | None = None
        self._port = 0
        self._turn = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """Its process id, or None while it does not run."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def url(self) -> str:
        """Return the server's base address, starting it first if need be.

        Raises:
            BackendError: it did not come up in time.
        """
        async with self._turn:
            if self.pid is None:
                await self._start()
        return f"http://127.0.0.1:{self._port}"

    async def stop(self) -> None:
        """End it and what it started; nothing happens when it does not run."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    def forget(self) -> None:
        """Delete what it kept; it must not run."""
        shutil.rmtree(self._home, ignore_errors=True)

    async def _start(self) -> None:
        argv = self.program or await asyncio.to_thread(_prefect)
        self._home.mkdir(parents=True, exist_ok=True)
        self._port = free_port()
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ} | {
            "HOME": str(self._home),
            "PREFECT_HOME": str(self._home),
            "PREFECT_SERVER_API_HOST": "127.0.0.1",
            "PREFECT_SERVER_API_PORT": str(self._port),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_CLI_PROMPT": "false",
            "DO_NOT_TRACK": "1",
        }
        with (self._home / "server.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *bound_to_parent(argv, environment),
                env=environment,
                cwd=self._home,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        await self._wait_ready()

    async def _wait_ready(self) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            deadline = asyncio.get_running_loop().time() + _START_SECONDS
            while asyncio.get_running_loop().time() < deadline and self.pid is not None:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with session.get(f"http://127.0.0.1:{self._port}/api/ready") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.2)
        await self.stop()
        raise BackendError(f"could not start the workspace's Prefect server: see {self._home / 'server.log'}")


def _prefect() -> list[str]:
    from toolchain.prefect_env import prefect_python  # noqa: PLC0415 - only a workspace in use needs it

    return [str(prefect_python()), "-m", "prefect", "server", "start", "--no-ui"]
