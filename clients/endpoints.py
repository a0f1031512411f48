"""Which world a stack lives in, and the addresses that belong to it.

A stack states `endpoints: real | sandbox`. The statement travels with every resource and Command, so that a shell
variable left over from one world can never point a stack of the other at the wrong API: in the sandbox every address
is loopback, in the real world none is.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from clients.names import BETTER_STACK_TOKEN, FLY_TOKEN, GITHUB_TOKEN
from clients.redaction import one_line

_UNSENDABLE = re.compile(r"[\s\x00-\x1f\x7f]")


class World(StrEnum):
    """The two worlds a stack can state."""

    REAL = "real"
    SANDBOX = "sandbox"


class WrongWorldError(ValueError):
    """An address does not belong to the world that the stack states."""


@dataclass(frozen=True)
class Service:
    """An outside API: its title for messages, the variable that redirects it, its public base address and its token."""

    title: str
    variable: str
    default: str
    token: str


FLY_MACHINES = Service("Fly Machines API", "FLY_FLAPS_BASE_URL", "https://api.machines.dev", FLY_TOKEN)
FLY_API = Service("Fly API", "FLY_API_BASE_URL", "https://api.fly.io", FLY_TOKEN)
GITHUB = Service("GitHub API", "GITHUB_API_URL", "https://api.github.com", GITHUB_TOKEN)
BETTER_STACK = Service("Better Stack API", "BETTERSTACK_BASE_URL", "https://uptime.betterstack.com", BETTER_STACK_TOKEN)


def is_loopback(url: str) -> bool:
    """Tell whether the host of `url` is this machine: `localhost`, a name below it, 127.0.0.0/8 or ::1."""
    try:
        host = (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_url(url: str, world: World, what: str) -> str:
    """Return `url` when it belongs to `world`.

    Raises:
        WrongWorldError: it is no http(s) address, or it belongs to the other world; the text names `what`.
    """
    _require_whole(url, what)
    if world is World.SANDBOX and not is_loopback(url):
        raise WrongWorldError(
            f'could not use {what} "{url}": the stack states endpoints: sandbox, which only talks to this machine. '
            "Point it at the sandbox, or set endpoints: real."
        )
    if world is World.REAL and is_loopback(url):
        raise WrongWorldError(
            f'could not use {what} "{url}": the stack states endpoints: real, but the address is this machine. '
            "Unset the variable or setting that redirects it, or set endpoints: sandbox."
        )
    return url.rstrip("/")


def _require_whole(url: str, what: str) -> None:
    try:
        parts = urlsplit(url)
        whole = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if not whole or _UNSENDABLE.search(url):
        raise WrongWorldError(f'could not use {what} "{one_line(url)}": it is no http(s) address. Give a whole URL.')
    if "@" in parts.netloc:
        # The text must not repeat the address, which holds a password.
        raise WrongWorldError(
            f"could not use {what}: it holds a user or a password, which would not be sent. Take them out of the URL."
        )


def base_url(service: Service, world: World, environ: Mapping[str, str] = os.environ) -> str:
    """Return the base address of `service` in `world`, without a trailing slash.

    Raises:
        WrongWorldError: the sandbox's variable is unset, or the address belongs to the other world.
    """
    url = environ.get(service.variable, "")
    if not url and world is World.SANDBOX:
        raise WrongWorldError(
            f"could not reach the {service.title}: the stack states endpoints: sandbox, but {service.variable} is not "
            'set. Run "make demo", or load the output of "python -m sandbox env".'
        )
    return require_url(url or service.default, world, f"{service.variable} (the {service.title})")
