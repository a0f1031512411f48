"""Health checks: what a machine's config asks for, and how one is made.

A check runs from the moment the machine has started: every second (or interval, if shorter) during its grace period,
then every interval. A pass counts at once; a failure during the grace period is a warning, after it critical. Checks
never restart a machine; those of services decide whether the edge sends it requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from sandbox.core.clock import Clock
from sandbox.fly.models import Check, Machine
from sandbox.fly.normalise import seconds_of
from sandbox.machines.driver import Driver

_WAITING = "waiting for status update"
_SETUP_DELAY = 0.2  # seconds during which a started machine still shows an empty list of checks
_GRACE_INTERVAL = 1.0
_OUTPUT_KEPT = 300
MIRROR = "bg_deployments_compat-"
"""Prefix of the copies that Fly keeps of a service's checks for its own deployments; they lag by one check."""


@dataclass(frozen=True, kw_only=True)
class CheckSpec:
    """One check as configured; times in seconds."""

    name: str
    of_service: bool
    kind: str
    port: int
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    interval: float
    timeout: float
    grace: float


def specs_of(config: dict[str, Any]) -> list[CheckSpec]:
    """Return the checks a config asks for; those of services are named `servicecheck-<nn>-<type>-<port>`."""
    specs = []
    number = 0
    for service in config.get("services") or []:
        for check in service.get("checks") or []:
            port = int(check.get("port") or service["internal_port"])
            specs.append(_spec(f"servicecheck-{number:02d}-{check.get('type', 'tcp')}-{port}", check, port, True))
            number += 1
    for name, check in (config.get("checks") or {}).items():
        specs.append(_spec(name, check, int(check.get("port") or 0), False))
    return specs


def _spec(name: str, check: dict[str, Any], port: int, of_service: bool) -> CheckSpec:
    headers = [(item["name"], value) for item in check.get("headers") or [] for value in item.get("values") or []]
    return CheckSpec(
        name=name,
        of_service=of_service,
        kind=str(check.get("type") or "tcp"),
        port=port,
        method=str(check.get("method") or "GET").upper(),
        path=str(check.get("path") or "/"),
        headers=tuple(headers),
        interval=max(0.1, seconds_of(check.get("interval"), 15.0)),
        timeout=max(0.1, seconds_of(check.get("timeout"), 2.0)),
        grace=seconds_of(check.get("grace_period"), 0.0),
    )


class Checker:
    """Makes the checks of started machines; `mirrored` asks whether Fly's copies of those of services are shown too."""

    def __init__(self, clock: Clock, driver: Driver, *, mirrored: Callable[[], bool] = lambda: False) -> None:
        self._mirrored = mirrored
        self._clock = clock
        self._driver = driver
        self._session: aiohttp.ClientSession | None = None

    async def run(self, machine: Machine) -> None:
        """Check a machine until cancelled; results go to `machine.checks`."""
        await self._clock.sleep(_SETUP_DELAY)
        specs = specs_of(machine.config)
        now = self._clock.time()
        for spec in specs:
            machine.checks[spec.name] = Check(spec.name, "critical", _WAITING, now, spec.of_service)
        for spec in specs if self._mirrored() else ():
            if spec.of_service:
                machine.checks[MIRROR + spec.name] = Check(MIRROR + spec.name, "critical", _WAITING, now)
        await asyncio.gather(*(self._repeat(machine, spec, now) for spec in specs))

    async def close(self) -> None:
        """Close connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _repeat(self, machine: Machine, spec: CheckSpec, started: float) -> None:
        while True:
            passing, output = await self._check(machine, spec)
            in_grace = self._clock.time() - started < spec.grace
            check = machine.checks[spec.name]
            if (mirror := machine.checks.get(MIRROR + spec.name)) is not None:
                mirror.status, mirror.output, mirror.updated_at = check.status, check.output, check.updated_at
            check.status = "passing" if passing else ("warning" if in_grace else "critical")
            check.output, check.updated_at = output[:_OUTPUT_KEPT], self._clock.time()
            quick = in_grace and not passing
            await self._clock.sleep(min(spec.interval, _GRACE_INTERVAL) if quick else spec.interval)

    async def _check(self, machine: Machine, spec: CheckSpec) -> tuple[bool, str]:
        if not self._driver.real_checks:
            return self._driver.check(machine.app, machine.id, spec.path)
        try:
            async with asyncio.timeout(spec.timeout):
                if spec.kind == "tcp":
                    return await _tcp(machine.private_ip, spec.port)
                return await self._http(machine.private_ip, spec)
        except TimeoutError:
            return False, "context deadline exceeded (timeout while waiting for the answer)"
        except (OSError, aiohttp.ClientError) as problem:
            return False, str(problem)

    async def _http(self, address: str, spec: CheckSpec) -> tuple[bool, str]:
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))
        url = f"http://{address}:{spec.port}{spec.path}"
        headers = {"User-Agent": "Consul Health Check", **dict(spec.headers)}
        # Redirects are not followed: Fly's checks take a 301 for a failure.
        async with self._session.request(spec.method, url, headers=headers, allow_redirects=False) as reply:
            text = await reply.text(errors="replace")
            return 200 <= reply.status < 300, text if reply.status == 200 else f"HTTP {reply.status}: {text}"


async def _tcp(address: str, port: int) -> tuple[bool, str]:
    _, writer = await asyncio.open_connection(address, port)
    writer.close()
    return True, "Success"
