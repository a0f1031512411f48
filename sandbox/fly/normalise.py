"""How the Machines API rewrites a config it is given: durations, autostop, defaults it fills in, and what it refuses.

A caller that compares what it sent with what it reads back meets all of this on the real API too.
"""

from __future__ import annotations

import copy
import re
import signal
from typing import Any

from sandbox.fly.errors import BadRequest

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_DURATION_FIELDS = ("interval", "timeout", "grace_period")
_CPU_KINDS = {"shared": 256, "performance": 2048}  # smallest memory per CPU, in MB
_RESTART_POLICIES = {"no", "always", "on-failure", "spot-price"}


def seconds_of(value: Any, default: float) -> float:
    """Return a Go duration string, or a bare number of NANOseconds, in seconds.

    Raises:
        BadRequest: it is neither.
    """
    if value is None:
        return default
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) / 1e9
    text = str(value)
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise BadRequest(f'invalid config: time: invalid duration "{text}"')
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def go_duration(seconds: float) -> str:
    """Return seconds the way Go prints a duration: 60 is "1m0s"."""
    if seconds < 1:
        return f"{seconds * 1000:g}ms" if seconds else "0s"
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    text = f"{int(hours)}h" if hours else ""
    text += f"{int(minutes)}m" if hours or minutes else ""
    return f"{text}{rest:g}s"


def normalise(config: dict[str, Any]) -> dict[str, Any]:
    """Return the config the way the API stores and returns it.

    Raises:
        BadRequest: the API would refuse it.
    """
    if not config.get("image"):
        raise BadRequest("invalid_argument: config.image is required")
    result = copy.deepcopy(config)
    result.setdefault("init", {})
    result["guest"] = _guest(result.get("guest") or {})
    result["restart"] = _restart(result.get("restart"))
    for check in (result.get("checks") or {}).values():
        _durations(check, _DURATION_FIELDS)
    for service in result.get("services") or []:
        _service(service)
    if result.get("stop_config"):
        _durations(result["stop_config"], ("timeout",))
        _signal_name(result["stop_config"].get("signal"))
    result["env"] = {name: str(value) for name, value in (result.get("env") or {}).items()}
    return result


def _guest(given: dict[str, Any]) -> dict[str, Any]:
    guest = {"cpu_kind": "shared", "cpus": 1, **given}
    smallest = _CPU_KINDS.get(guest["cpu_kind"])
    if smallest is None:
        raise BadRequest(f'invalid_argument: invalid config.guest.cpu_kind "{guest["cpu_kind"]}"')
    guest.setdefault("memory_mb", smallest * guest["cpus"])
    memory = guest["memory_mb"]
    if memory % 256:
        raise BadRequest(f"invalid_argument: invalid config.guest.memory_mb, must be a multiple of 256, got {memory}")
    if memory < smallest * guest["cpus"]:
        raise BadRequest(
            f"invalid_argument: invalid config.guest.memory_mb, minimum required {smallest * guest['cpus']} MiB"
        )
    return guest


def _restart(given: dict[str, Any] | None) -> dict[str, Any]:
    if not given or not given.get("policy"):
        return {"policy": "on-failure", "max_retries": 10}
    if given["policy"] not in _RESTART_POLICIES:
        raise BadRequest(f'invalid_argument: invalid config.restart.policy "{given["policy"]}"')
    if given["policy"] == "on-failure":
        return {"max_retries": 10, **given}
    return dict(given)


def _service(service: dict[str, Any]) -> None:
    if not service.get("internal_port"):
        raise BadRequest("invalid_argument: config.services[].internal_port is required")
    service.setdefault("protocol", "tcp")
    service.setdefault("force_instance_key", None)
    autostop = service.get("autostop")
    if autostop in {"off", "stop"}:
        service["autostop"] = autostop == "stop"
    for check in service.get("checks") or []:
        _durations(check, _DURATION_FIELDS)


def _signal_name(name: Any) -> None:
    if name and name not in signal.Signals.__members__:
        raise BadRequest(f'invalid_argument: invalid config.stop_config.signal "{name}"')


def _durations(holder: dict[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        if holder.get(name) is not None:
            holder[name] = go_duration(seconds_of(holder[name], 0.0))
