"""Polls the monitors' URLs on the sandbox's clock: a new one at once, then every `check_frequency` seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp

from sandbox.better_stack.models import BetterStackState, Monitor
from sandbox.core.clock import Clock

_KEPT_LATENCIES = 100


class Poller:
    """One task per monitor.

    Args:
        scale: seconds of the clock per second of `check_frequency`; below 1 polls more often than asked.
    """

    def __init__(self, state: BetterStackState, clock: Clock, changed: Callable[[], None], scale: float) -> None:
        self._state = state
        self._clock = clock
        self._changed = changed
        self._scale = scale
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def follow(self, monitor: Monitor) -> None:
        """Poll a monitor from now on, beginning at once; one that is followed already starts over."""
        self.drop(monitor.id)
        self._tasks[monitor.id] = asyncio.create_task(self._poll_for_ever(monitor))

    def drop(self, monitor_id: str) -> None:
        """Poll a monitor no more."""
        task = self._tasks.pop(monitor_id, None)
        if task is not None:
            task.cancel()

    async def stop(self) -> None:
        """Poll nothing any more."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _poll_for_ever(self, monitor: Monitor) -> None:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            while True:
                if not monitor.attributes["paused"]:
                    await self._poll(monitor, session)
                await self._clock.sleep(monitor.attributes["check_frequency"] * self._scale)

    async def _poll(self, monitor: Monitor, session: aiohttp.ClientSession) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        was = monitor.status
        monitor.answering = await _answers(monitor, session)
        monitor.last_checked_at = self._clock.time()
        monitor.latencies = [
            *monitor.latencies[1 - _KEPT_LATENCIES :],
            (monitor.last_checked_at, round(loop.time() - began, 4)),
        ]
        if monitor.status != was:
            self._changed()


async def _answers(monitor: Monitor, session: aiohttp.ClientSession) -> bool:
    wants = monitor.attributes
    headers = {each["name"]: each["value"] for each in wants["request_headers"]}
    login = aiohttp.BasicAuth(wants["auth_username"], wants["auth_password"]) if wants["auth_username"] else None
    # A person would wait the whole request_timeout; loopback answers or does not.
    timeout = aiohttp.ClientTimeout(total=min(wants["request_timeout"], 10))
    try:
        async with session.request(
            wants["http_method"],
            wants["url"],
            headers=headers,
            auth=login,
            timeout=timeout,
            ssl=bool(wants["verify_ssl"]),
            allow_redirects=wants["follow_redirects"],
        ) as answer:
            return _satisfies(answer.status, await answer.text(errors="replace"), monitor)
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False


def _satisfies(status: int, text: str, monitor: Monitor) -> bool:
    wants = monitor.attributes
    kind, keyword = wants["monitor_type"], wants["required_keyword"] or ""
    if kind == "expected_status_code":
        return status in set(wants["expected_status_codes"])
    if not 200 <= status < 300:
        return False
    if kind == "keyword":
        return bool(keyword in text)
    return bool(kind != "keyword_absence" or keyword not in text)
