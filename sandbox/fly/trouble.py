"""Fly's known troubles, ready to be scripted by name; free ones are scripted with `sandbox.core.faults`."""

from __future__ import annotations

from typing import Any

from sandbox.core.faults import Fault, Faults
from sandbox.fly.state import FlyState

_CREATE = r"/machines$"
_CREATE_OR_UPDATE = r"/machines(/[^/]+)?$"


class Trouble:
    """Scripts for one emulated Fly; every one hits `times` calls and then is over."""

    NAMES = frozenset(
        {
            "no_capacity",
            "payment_required",
            "manifest_unknown",
            "rate_limited",
            "slow_apps",
            "host_unreachable",
            "host_back",
        }
    )

    def __init__(self, faults: Faults, state: FlyState) -> None:
        self._faults = faults
        self._state = state

    def script(self, name: str, arguments: dict[str, Any]) -> None:
        """Script a trouble by its name.

        Raises:
            ValueError: no such trouble, or it does not take these arguments; the text says which.
        """
        if name not in self.NAMES:
            raise ValueError(f'there is no trouble "{name}", only {", ".join(sorted(self.NAMES))}')
        try:
            getattr(self, name)(**arguments)
        except KeyError as problem:
            raise ValueError(f"there is no machine {problem}") from problem
        except TypeError as problem:
            raise ValueError(str(problem)) from problem

    def no_capacity(self, times: int = 1) -> Fault:
        """Machine creates find no room in the region."""
        body = {
            "error": "insufficient resources to create new machine with existing volume or in region",
            "status": "insufficient_capacity",
        }
        return self._faults.add("POST", _CREATE, status=422, body=body, times=times)

    def payment_required(self, times: int = 1) -> Fault:
        """Machine creates want a payment method first."""
        body = {"error": "We need your payment information to continue! please add a payment method"}
        return self._faults.add("POST", _CREATE, status=422, body=body, times=times)

    def manifest_unknown(self, times: int = 1) -> Fault:
        """The registry lags behind a push: creates and updates do not find the image yet."""
        body = {"error": "failed to get manifest: request failed: MANIFEST_UNKNOWN: manifest unknown"}
        return self._faults.add("POST", _CREATE_OR_UPDATE, status=400, body=body, times=times)

    def rate_limited(self, method: str = "*", path: str = "", times: int = 1, retry_after: int | None = None) -> Fault:
        """Calls come too fast; with or without a Retry-After in seconds."""
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        return self._faults.add(
            method, path, status=429, body={"error": "rate limit exceeded"}, headers=headers, times=times
        )

    def slow_apps(self, times: int = 1) -> None:
        """Reading an app answers 404 that many times and then 401 that many times, as right after its creation."""
        path = r"^/v1/apps/[^/]+$"
        self._faults.add("GET", path, status=404, body={"error": "app not found"}, times=times)
        self._faults.add("GET", path, status=401, body={"error": "unauthorized"}, times=times)

    def host_unreachable(self, machine_id: str) -> None:
        """A machine's host stops answering.

        Raises:
            KeyError: there is no such machine.
        """
        self._set_host(machine_id, "unreachable")

    def host_back(self, machine_id: str) -> None:
        """It answers again.

        Raises:
            KeyError: there is no such machine.
        """
        self._set_host(machine_id, "ok")

    def _set_host(self, machine_id: str, status: str) -> None:
        machine = self._state.machine_anywhere(machine_id)
        if machine is None:
            raise KeyError(machine_id)
        machine.host_status = status
