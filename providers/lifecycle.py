"""What the dynamic providers share: reading props, unknowns, comparing, fingerprints, clients.

Nothing here touches the network except what `fly_client` returns. Providers keep no state of their own: the engine
stores them by reference, so that state written today is read by tomorrow's code.
"""

from __future__ import annotations

import functools
import gc
import hashlib
import os
import threading
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import pulumi
from pulumi.dynamic import CheckFailure, CheckResult, ConfigureRequest, DiffResult, ResourceProvider
from pulumi.output import Unknown

from clients.endpoints import FLY_API, FLY_MACHINES, World, base_url
from clients.fly import FlyClient
from clients.fly.config import normalised
from clients.names import FLY_TOKEN

Props = Mapping[str, Any]

_MAKING = threading.Lock()


class Provider(ResourceProvider):
    """What all of ours are.

    Attributes:
        a_program_runs: whether what goes does so because a program no longer states it, and not in a destroy. The
            engine says neither, but when a program runs, and only then, it has inputs checked in this very process.
    """

    a_program_runs: ClassVar[threading.Event] = threading.Event()

    def check(self, olds: Props, news: dict[str, Any]) -> CheckResult:
        """Refuse what `failures` finds."""
        self.a_program_runs.set()
        return CheckResult(news, self.failures(olds, news))

    def failures(self, _olds: Props, _news: Props) -> list[CheckFailure]:
        """Return what cannot be used of the new inputs."""
        return []

    def configure(self, req: ConfigureRequest) -> None:
        """Called in the providers' own process, once for each kind of resource, before it does anything."""
        super().configure(req)
        # What is imported stays: or the engine waits 0.2 s at the end of each command, while Python looks through all
        # of it for garbage before it ends this process (ADR 15).
        gc.freeze()


def fly_client(props: Props) -> FlyClient:
    """Return the client for the world that the resource states, one per process: its rate limits are shared.

    Raises:
        WrongWorldError: an address in the environment belongs to the other world.
        FlyUnauthorizedError: FLY_API_TOKEN is not set.
    """
    world = World(props["endpoints"])
    urls = base_url(FLY_MACHINES, world), base_url(FLY_API, world)
    # Several resources start at once, and two clients would not share their rate limits.
    with _MAKING:
        return _fly_client(world, *urls, os.environ.get(FLY_TOKEN, ""))


@functools.lru_cache(maxsize=4)
def _fly_client(world: World, _machines_url: str, _api_url: str, _token: str) -> FlyClient:
    return FlyClient.from_environment(world)


def unknown(value: object) -> bool:
    """Tell whether `value` is, or holds, something that the engine does not know yet (in previews)."""
    if isinstance(value, Mapping):
        return any(unknown(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(unknown(item) for item in value)
    return isinstance(value, Unknown)


def plain(props: Props) -> dict[str, Any]:
    """Return the props without the engine's own keys, integral floats as ints, None dropped; unknowns stay."""
    cleaned: dict[str, Any] = normalised({key: value for key, value in props.items() if not key.startswith("__")})
    return cleaned


def changed(olds: Props, news: Props, keys: Iterable[str]) -> list[str]:
    """Return the keys whose value is known to differ, or cannot be known yet; a key that was removed differs."""
    before, after = plain(olds), plain(news)
    return [key for key in keys if unknown(after.get(key)) or before.get(key) != after.get(key)]


def difference(olds: Props, news: Props, *, updates: Iterable[str], replaces: Iterable[str]) -> DiffResult:
    """Return the usual diff.

    Args:
        olds: old outputs.
        news: new inputs.
        updates: input keys that are changed in place.
        replaces: input keys that need a new object; a value that is not known yet never does by itself.
    """
    moved = changed(olds, news, replaces)
    replaced = [key for key in moved if not unknown(news.get(key))]
    changes = bool(moved or changed(olds, news, updates) or olds.get("drifted"))
    # Creating adopts what has our marks, so the old object must be gone before.
    return DiffResult(changes=changes, replaces=replaced, delete_before_replace=True)


def require(news: Props, kinds: Mapping[str, type | tuple[type, ...]]) -> list[CheckFailure]:
    """Return a failure for each of these inputs that is missing, empty or of another type; unknowns pass."""
    failures = []
    for key, kind in kinds.items():
        value = news.get(key)
        if isinstance(value, Unknown):
            continue
        if not isinstance(value, kind) or (isinstance(value, str) and not value):
            failures.append(CheckFailure(key, f'could not use "{key}": it is missing, empty or of the wrong type'))
    if isinstance(news.get("endpoints"), str) and news["endpoints"] not in set(World):
        failures.append(CheckFailure("endpoints", 'could not use "endpoints": it is neither real nor sandbox'))
    return failures


def adopting(opts: pulumi.ResourceOptions | None, *, secret_outputs: Iterable[str] = ()) -> pulumi.ResourceOptions:
    """Return the options of a resource whose create adopts: `up --replace` must delete the old object first."""
    own = pulumi.ResourceOptions(delete_before_replace=True, additional_secret_outputs=list(secret_outputs))
    return pulumi.ResourceOptions.merge(own, opts)


def fingerprint(salt: str, value: str) -> str:
    """Return a salted scrypt hash: tells whether a value changed, and is too slow to guess passwords by."""
    hashed = hashlib.scrypt(value.encode(), salt=bytes.fromhex(salt), n=2**14, r=8, p=1, dklen=32)
    return hashed.hex()
