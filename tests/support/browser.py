"""A headless Chromium, steered by its DevTools protocol: for tests that look at pages and for measuring them.

It is the toolchain's own, the same on every machine. It can reach this machine alone: other names do not resolve.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import tempfile
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.waiting import PATIENCE
from toolchain.chromium import ensure_chromium
from toolchain.errors import UnsupportedPlatformError

# Without a sandbox: as root it has none, and the pages are our own. Drawn by the processor: the slowest way, and what a
# machine without a graphics card has. A container's /dev/shm may be too small.
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
    "--remote-debugging-port=0", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip
STOP_SECONDS = 30.0


class NetworkChangedError(Exception):
    """Chromium dropped its requests, as it does when an interface of the machine comes or goes."""


class Page:
    """One page, in a browser of its own.

    Attributes:
        pid: the browser's.
        requested: addresses that it asked for, or tried to, without those that are data themselves.
        errors: what its scripts threw, and what the browser put into the console: refusals by a policy, replies that
            are errors.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, pid: int) -> None:
        self._socket, self._number = socket, 0
        self.pid = pid
        self.requested: list[str] = []
        self.errors: list[str] = []

    async def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Make one call of the protocol and return its result.

        Raises:
            NetworkChangedError: the page lacks something since.
        """
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        while True:
            message = json.loads((await self._socket.receive(PATIENCE)).data)
            self._note(message.get("method"), message.get("params", {}))
            if message.get("id") == self._number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                result: dict[str, Any] = message["result"]
                return result

    def _note(self, method: str | None, parameters: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.errors.append(str(details.get("exception", {}).get("description", details["text"])))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.errors.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}")
        elif method == "Network.requestWillBeSent" and not parameters["request"]["url"].startswith(("data:", "blob:")):
            self.requested.append(parameters["request"]["url"])
        elif method == "Network.loadingFailed" and parameters["errorText"] == "net::ERR_NETWORK_CHANGED":
            raise NetworkChangedError

    async def run(self, script: str) -> Any:
        """Evaluate a script, await its promise and return its value."""
        result = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(str(result["exceptionDetails"]["exception"].get("description")))
        return result["result"].get("value")

    async def until(self, condition: str) -> None:
        """Wait until a script's value is true.

        Raises:
            AssertionError: it never was; the text holds what the page says and its errors.
        """
        # The page itself looks, again and again, so that a measurement is not late.
        look = f"({condition}) ? done(true) : performance.now() > end ? done(false) : setTimeout(look, 10)"
        end = f"performance.now() + {PATIENCE * 1000}"
        if not await self.run(f"new Promise((done) => {{ const end = {end}, look = () => {{ {look} }}; look(); }})"):
            words = await self.run("document.body?.innerText")
            raise AssertionError(f"{condition} did not come true in {PATIENCE:.0f} s: {self.errors}, page:\n{words}")

    async def until_told(self, words: str) -> None:
        """Wait until the console was told something with these words."""
        deadline = time.monotonic() + PATIENCE
        while not any(words in text for text in self.errors):
            assert time.monotonic() < deadline, f"{words} is not in {self.errors}"
            await self.run("new Promise((done) => setTimeout(done, 50))")

    async def go(self, address: str) -> None:
        """Go to an address; returns when its document is there."""
        await self.call("Page.navigate", url=address)
        await self.until("document.readyState !== 'loading'")

    async def click(self, x: float, y: float) -> None:
        """Click at a place of what is seen, in pixels, as a person does."""
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def drag(self, *places: tuple[float, float]) -> None:
        """Press the button at the first place, move to the others and release it at the last."""
        held = {"button": "left", "buttons": 1, "clickCount": 1}
        kinds = ["mousePressed", *["mouseMoved"] * (len(places) - 1), "mouseReleased"]
        for kind, (x, y) in zip(kinds, [*places, places[-1]], strict=True):
            await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **held)

    async def double_click(self, x: float, y: float) -> None:
        """Click twice at a place."""
        for count in (1, 2):
            for kind in ("mousePressed", "mouseReleased"):
                await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=count)

    async def wheel(self, x: float, y: float, by: float) -> None:
        """Turn the wheel at a place, away from the person where `by` is negative."""
        await self.call("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=by)

    async def touch(self, *moments: list[tuple[float, float]]) -> None:
        """Put fingers down as the first moment says, move them to where the others do, and lift them."""
        for kind, fingers in zip(["touchStart", *["touchMove"] * (len(moments) - 1)], moments, strict=True):
            await self.call("Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": x, "y": y} for x, y in fingers])
        await self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    async def click_on(self, selector: str, words: str) -> None:
        """Wait for the first element of a kind that says these words, and click on it."""
        found = f"[...document.querySelectorAll({json.dumps(selector)})]"
        found += f".find((each) => each.innerText.trim() === {json.dumps(words)})"
        await self.until(found)
        await self.run(f"{found}.click()")

    async def type(self, selector: str, text: str) -> None:
        """Wait for a field, put the cursor into it and type."""
        await self.until(f"document.querySelector({json.dumps(selector)})")
        await self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        await self.call("Input.insertText", text=text)

    async def enter(self) -> None:
        """Press the key."""
        await self._press(key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r")

    async def press(self, character: str) -> None:
        """Press the key of a character."""
        await self._press(key=character, text=character)

    async def _press(self, **key: object) -> None:
        for kind in ("keyDown", "keyUp"):
            await self.call("Input.dispatchKeyEvent", type=kind, **key)

    async def download_into(self, folder: Path) -> None:
        """Let it keep downloads in a folder."""
        await self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    async def picture(self, path: Path) -> None:
        """Keep what is seen as a PNG."""
        shot = await self.call("Page.captureScreenshot", format="png")
        await asyncio.to_thread(path.write_bytes, base64.b64decode(shot["data"]))


def require_chromium() -> None:
    """Make it ready; skip the test on a machine that there is none for. Whatever else goes wrong is a failure."""
    try:
        ensure_chromium()
    except UnsupportedPlatformError as reason:
        pytest.skip(str(reason))


@asynccontextmanager
async def browser(width: int = 1400, height: int = 860) -> AsyncIterator[Page]:
    """Run a Chromium of its own with an empty profile, and end it."""
    chromium = await asyncio.to_thread(ensure_chromium)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        log = Path(folder) / "chromium.log"
        argv = (chromium.program, *FLAGS, f"--window-size={width},{height}", f"--user-data-dir={folder}", "about:blank")
        with log.open("wb") as sink:
            environment = {**chromium.environment, "HOME": folder}
            process = await asyncio.create_subprocess_exec(*argv, env=environment, stdout=sink, stderr=sink)
        try:
            port = await _port(process, log)
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json") as reply:
                    target = next(each for each in await reply.json() if each["type"] == "page")
                async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    page = Page(socket, process.pid)
                    await _prepare(page, width, height)
                    yield page
        finally:
            await _end(process)


async def steer(what: Callable[[Page], Awaitable[None]]) -> None:
    """Do something with a browser of its own, all of it anew when the machine's network changed meanwhile.

    The interfaces of other tests' containers come and go.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            async with browser() as page:
                return await what(page)
        except NetworkChangedError:
            if time.monotonic() > deadline:
                raise


async def _prepare(page: Page, width: int, height: int) -> None:
    for domain in ("Page", "Runtime", "Log", "Network"):
        await page.call(f"{domain}.enable")
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    await page.call("Emulation.setDeviceMetricsOverride", **size)


async def _port(process: Process, log: Path) -> int:
    """The port that Chromium listens on, as it says itself.

    Raises:
        RuntimeError: it ended, or never said so; the text is what it said.
    """
    deadline, said = time.monotonic() + PATIENCE, ""
    while process.returncode is None and time.monotonic() < deadline:
        said = await asyncio.to_thread(log.read_text, errors="replace")
        if found := re.search(r"listening on ws://127\.0\.0\.1:(\d+)/", said):
            return int(found[1])
        await asyncio.sleep(0.05)
    raise RuntimeError(f"could not start Chromium: {said[-2000:]}")


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
