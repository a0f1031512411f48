"""Monitors as the emulated Better Stack keeps them, and what it takes for an attribute's value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

Status = Literal["paused", "pending", "up", "down"]

_TYPES = {"status", "expected_status_code", "keyword", "keyword_absence", "ping", "tcp", "udp", "smtp"} | {
    "pop",
    "imap",
    "dns",
    "playwright",
}
_REGIONS = {"us", "eu", "as", "au"}
_TIMEOUTS = {2, 3, 5, 10, 15, 30, 45, 60}
_EXPIRATIONS = {None, 1, 2, 3, 7, 14, 30, 60}

DEFAULTS: dict[str, Any] = {
    "url": None,
    "pronounceable_name": None,
    "monitor_type": "status",
    "check_frequency": 180,
    "confirmation_period": 0,
    "recovery_period": 180,
    "request_timeout": 30,
    "regions": ["us", "eu", "as", "au"],
    "http_method": "get",
    "expected_status_codes": [],
    "required_keyword": None,
    "request_headers": [],
    "request_body": "",
    "auth_username": "",
    "auth_password": "",
    "verify_ssl": True,
    "follow_redirects": True,
    "remember_cookies": True,
    "ssl_expiration": None,
    "domain_expiration": None,
    "policy_id": None,
    "expiration_policy_id": None,
    "monitor_group_id": None,
    "team_wait": None,
    "call": False,
    "sms": False,
    "email": True,
    "push": True,
    "critical_alert": False,
    "paused": False,
    "port": None,
    "maintenance_from": None,
    "maintenance_to": None,
    "maintenance_timezone": "UTC",
    "maintenance_days": [],
}


class InvalidMonitorError(ValueError):
    """An attribute is missing or has a value that is not taken; `attribute` names it."""

    def __init__(self, attribute: str, text: str) -> None:
        super().__init__(text)
        self.attribute = attribute


@dataclass
class Monitor:
    """One monitor; times in unix seconds, `latencies` as (time, seconds)."""

    id: str
    attributes: dict[str, Any]
    created_at: float
    updated_at: float
    last_checked_at: float | None = None
    answering: bool | None = None
    latencies: list[tuple[float, float]] = field(default_factory=list)

    @property
    def status(self) -> Status:
        """What its last poll found."""
        if self.attributes["paused"]:
            return "paused"
        if self.answering is None:
            return "pending"
        return "up" if self.answering else "down"


class BetterStackState:
    """All monitors, by id."""

    def __init__(self) -> None:
        self.monitors: dict[str, Monitor] = {}
        self._last_id = 2_000_000

    def add(self, given: dict[str, Any], now: float) -> Monitor:
        """Create a monitor.

        Raises:
            InvalidMonitorError: an attribute is missing or has a value that is not taken.
        """
        if not given.get("url"):
            raise InvalidMonitorError("url", "can't be blank")
        # Only a token of a whole organisation has to name the team; it is not an attribute of the monitor.
        chosen = {name: value for name, value in given.items() if name != "team_name"}
        attributes = DEFAULTS | checked(chosen)
        attributes["pronounceable_name"] = attributes["pronounceable_name"] or urlsplit(attributes["url"]).hostname
        self._last_id += 1
        monitor = Monitor(str(self._last_id), attributes, now, now)
        self.monitors[monitor.id] = monitor
        return monitor

    def change(self, monitor: Monitor, given: dict[str, Any], now: float) -> None:
        """Change some attributes of a monitor; another URL is pending until it was polled."""
        changes = checked(given)
        if changes.get("url", monitor.attributes["url"]) != monitor.attributes["url"]:
            monitor.answering = None
        monitor.attributes |= changes
        monitor.updated_at = now

    def dump(self) -> dict[str, Any]:
        """Return everything as JSON."""
        return {"next_id": self._last_id + 1, "monitors": [asdict(each) for each in self.monitors.values()]}

    def load(self, saved: dict[str, Any]) -> None:
        """Take over what `dump` returned."""
        self._last_id = saved["next_id"] - 1
        self.monitors = {each["id"]: Monitor(**each) for each in saved["monitors"]}


def checked(given: dict[str, Any]) -> dict[str, Any]:
    """Return attributes that can be kept.

    Raises:
        InvalidMonitorError: one is unknown, or its value is not taken.
    """
    for name, value in given.items():
        if name not in DEFAULTS:
            raise InvalidMonitorError(name, "is not an attribute of a monitor")
        takes, text = _RULES.get(name, (_anything, ""))
        if not takes(value):
            raise InvalidMonitorError(name, text)
    return given


def _anything(_value: Any) -> bool:
    return True


def _is_url(value: Any) -> bool:
    parts = urlsplit(value) if isinstance(value, str) else None
    return parts is not None and parts.scheme in {"http", "https"} and bool(parts.hostname)


def _is_seconds(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "url": (_is_url, "is not a valid URL"),
    "monitor_type": (lambda value: value in _TYPES, f"must be one of {', '.join(sorted(_TYPES))}"),
    "check_frequency": (lambda value: _is_seconds(value) and value >= 30, "must be at least 30 seconds"),
    "confirmation_period": (_is_seconds, "must be seconds"),
    "recovery_period": (_is_seconds, "must be seconds"),
    "request_timeout": (lambda value: value in _TIMEOUTS, f"must be one of {sorted(_TIMEOUTS)}"),
    "regions": (
        lambda value: isinstance(value, list) and bool(value) and set(value) <= _REGIONS,
        f"must be some of {', '.join(sorted(_REGIONS))}",
    ),
    "ssl_expiration": (lambda value: value in _EXPIRATIONS, "must be 1, 2, 3, 7, 14, 30 or 60 days"),
    "domain_expiration": (lambda value: value in _EXPIRATIONS, "must be 1, 2, 3, 7, 14, 30 or 60 days"),
    "paused": (lambda value: isinstance(value, bool), "must be true or false"),
}
