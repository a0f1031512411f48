"""A headless Chromium, steered by its DevTools protocol: for looking at pages and for measuring them.

It needs a `chromium` on the PATH (`apt-get install chromium`), which a fresh machine does not have; so no test uses it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import shutil
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

START_SECONDS = 60.0
STEP_SECONDS = 120.0
# Drawn by the processor: the slowest way, and what a machine without a graphics card has.
FLAGS = ("--headless=new", "--no-sandbox", "--hide-scrollbars", "--disable-gpu",
         "--remote-debugging-port=0", "--no-first-run")  # fmt: skip


class Page:
    """One page. `pid` is the browser's; `errors` is what its scripts threw and its console was told."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, pid: int) -> None:
        self._socket, self._number = socket, 0
        self.pid = pid
        self.errors: list[str] = []

    async def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Make one call of the protocol and return its result."""
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        while True:
            message = json.loads((await self._socket.receive(STEP_SECONDS)).data)
            self._note(message)
            if message.get("id") == self._number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                result: dict[str, Any] = message["result"]
                return result

    def _note(self, message: dict[str, Any]) -> None:
        if message.get("method") == "Runtime.exceptionThrown":
            details = message["params"]["exceptionDetails"]
            self.errors.append(str(details.get("exception", {}).get("description", details["text"])))
        if message.get("method") == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
            self.errors.append(message["params"]["entry"]["text"])

    async def run(self, script: str) -> Any:
        """Evaluate a script, await its promise and return its value."""
        result = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(str(result["exceptionDetails"]["exception"].get("description")))
        return result["result"].get("value")

    async def until(self, condition: str) -> None:
        """Wait until a script's value is true."""
        await self.run(
            "new Promise((done) => { const look = () => ("
            + condition
            + ") ? done(true) : setTimeout(look, 10); look(); })"
        )

    async def go(self, address: str) -> None:
        """Go to an address; returns when its document is there."""
        await self.call("Page.navigate", url=address)
        await self.until("document.readyState !== 'loading'")

    async def picture(self, path: Path) -> None:
        """Keep what is seen as a PNG."""
        shot = await self.call("Page.captureScreenshot", format="png")
        await asyncio.to_thread(path.write_bytes, base64.b64decode(shot["data"]))


@asynccontextmanager
async def browser(width: int = 1400, height: int = 860) -> AsyncIterator[Page]:
    """Run a Chromium of its own with an empty profile, and end it."""
    program = shutil.which("chromium")
    if program is None:
        raise SystemExit("could not find chromium: apt-get install chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        size = f"--window-size={width},{height}"
        process = await asyncio.create_subprocess_exec(
            program, *FLAGS, size, f"--user-data-dir={folder}", "about:blank", stdout=DEVNULL, stderr=PIPE
        )
        try:
            port = await _port(process)
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json") as reply:
                    target = next(each for each in await reply.json() if each["type"] == "page")
                async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    page = Page(socket, process.pid)
                    for domain in ("Page", "Runtime", "Log"):
                        await page.call(f"{domain}.enable")
                    await page.call(
                        "Emulation.setDeviceMetricsOverride",
                        width=width,
                        height=height,
                        deviceScaleFactor=1,
                        mobile=False,
                    )
                    yield page
        finally:
            process.terminate()
            await process.communicate()


async def _port(process: Process) -> int:
    """The port that Chromium listens on, as it says itself."""
    if process.stderr is None:
        raise RuntimeError("could not start chromium: its output is not read")
    async with asyncio.timeout(START_SECONDS):
        async for line in process.stderr:
            if found := re.search(rb"listening on ws://127\.0\.0\.1:(\d+)/", line):
                return int(found[1])
    raise RuntimeError("could not start chromium: it ended without a word")
