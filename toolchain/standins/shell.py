"""Runs one command of a Command resource and gives its output back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Mapping
from typing import Any

from toolchain.standins.server import Log, PluginError

_SHOWS = {
    "none": (),
    "stdout": ("stdout",),
    "stderr": ("stderr",),
    "stdoutAndStderr": ("stdout", "stderr"),
}
_CHUNK = 64 * 1024


class Shell:
    """Starts commands and remembers those that are running.

    Args:
        log: where lines are shown while a command runs.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._running: set[asyncio.subprocess.Process] = set()

    async def run(
        self, urn: str, command: str, inputs: Mapping[str, Any], previous: Mapping[str, str]
    ) -> dict[str, str]:
        """Run a command with a resource's inputs; gives stdout and stderr, one trailing newline less.

        Raises:
            PluginError: it could not be started or ended with an error; the text holds the command and all output.
        """
        argv = [*(inputs.get("interpreter") or ["/bin/sh", "-c"]), command]
        given: str = inputs.get("stdin") or ""
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                cwd=inputs.get("dir") or None,
                env=_environment(inputs, previous),
                stdin=asyncio.subprocess.PIPE if given else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            raise PluginError(f"{error}: running {json.dumps(command)}:\n") from None
        self._running.add(process)
        try:
            streams, together = await self._finish(
                process, urn, given, _SHOWS[inputs.get("logging", "stdoutAndStderr")]
            )
        finally:
            self._running.discard(process)
            if process.returncode is None:
                # The engine went away, and this call with it.
                _kill(process)
        if process.returncode != 0:
            raise PluginError(f"{_how(process.returncode)}: running {json.dumps(command)}:\n{together}")
        return {name: text.removesuffix("\n") for name, text in streams.items()}

    def kill_all(self) -> None:
        """Kill every command that is running, not what it started in turn; as the real plugin does."""
        for process in list(self._running):
            _kill(process)

    async def _finish(
        self, process: asyncio.subprocess.Process, urn: str, given: str, shown: tuple[str, ...]
    ) -> tuple[dict[str, str], str]:
        together: list[bytes] = []

        async def drain(name: str, stream: asyncio.StreamReader) -> bytes:
            parts: list[bytes] = []
            unfinished = b""
            while chunk := await stream.read(_CHUNK):
                parts.append(chunk)
                together.append(chunk)
                *lines, unfinished = (unfinished + chunk).split(b"\n")
                await show(name, lines)
            await show(name, [unfinished] if unfinished else [])
            return b"".join(parts)

        async def show(name: str, lines: list[bytes]) -> None:
            for line in lines if name in shown else ():
                await self._log(urn, line.decode(errors="replace"))

        async def feed() -> None:
            if process.stdin is None:
                return
            process.stdin.write(given.encode())
            # A command that does not read its input is none of our business.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                await process.stdin.drain()
                process.stdin.close()

        if process.stdout is None or process.stderr is None:
            raise PluginError("could not read a command's output: it was started without pipes.")
        out, err, *_ = await asyncio.gather(
            drain("stdout", process.stdout), drain("stderr", process.stderr), feed(), process.wait()
        )
        streams = {"stdout": out.decode(errors="replace"), "stderr": err.decode(errors="replace")}
        return streams, b"".join(together).decode(errors="replace")


def _kill(process: asyncio.subprocess.Process) -> None:
    # It may have ended while its last lines are still being shown. An error here would be the answer to the engine's
    # Cancel, and the engine would say that the plugin had "exited prematurely".
    with contextlib.suppress(ProcessLookupError):
        process.kill()


def _environment(inputs: Mapping[str, Any], previous: Mapping[str, str]) -> dict[str, str]:
    env = {**os.environ, **(inputs.get("environment") or {})}
    if inputs.get("addPreviousOutputInEnv", True):
        for name, text in previous.items():
            if text:
                env[f"PULUMI_COMMAND_{name.upper()}"] = text
    return env


def _how(code: int | None) -> str:
    return f"signal: {-code}" if code is not None and code < 0 else f"exit status {code}"
