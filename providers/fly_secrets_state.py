"""What fly:Secrets keeps in the state, and how it tells changes from it; pure functions."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from clients.names import marker_of
from providers.lifecycle import Props, plain, unknown

REPLACES = ("app", "endpoints")
# `take_over` is a permission and no state: a change of it alone writes nothing.
UPDATES = ("absent", "owner")
OUTPUTS = ("names", "version", "salt", "fingerprints", "fingerprint", "digests", "drifted", "org")


def drift(props: Props, live: Mapping[str, str]) -> list[str]:
    """Return what somebody else did to our names, sorted; other names of the app are not looked at.

    Args:
        props: our outputs.
        live: digest of every secret of the app.
    """
    marker = marker_of(props["owner"])
    found = [f"{name}: removed" for name in [*props["names"], marker] if name not in live]
    found += [
        f"{name}: changed" for name in props["names"] if name in live and live[name] != props["digests"].get(name)
    ]
    found += [f"{name}: set" for name in props.get("absent", []) if name in live]
    return sorted(found)


def fingerprints_of(salt: str, values: Mapping[str, str]) -> dict[str, str]:
    """Return the fingerprint of every value, keyed by a salt that is as secret in the state as the values are.

    Each preview makes them all. A slow hash would protect nothing that the salt does not, and cost 44 ms a value.
    """
    key = bytes.fromhex(salt)
    return {name: hmac.digest(key, value.encode(), "sha256").hex() for name, value in values.items()}


def values_changed(olds: Props, news: Props) -> bool:
    """Tell whether names or values differ from what was written last; unknown ones may."""
    values = news.get("values")
    if unknown(values) or not isinstance(values, Mapping):
        return True
    return bool(olds.get("fingerprints") != fingerprints_of(olds["salt"], values))


def outputs(props: Props, *, salt: str, version: int, digests: Mapping[str, str], org: str) -> dict[str, Any]:
    """Return all outputs after a write, without any value."""
    prints = fingerprints_of(salt, props["values"])
    # What comes back from the state is a float, which would be spelled differently in the hash.
    version = int(version)
    # The version is in it so that fixing a drifted value counts as a change for those who have to restart.
    overall = hashlib.sha256(json.dumps([sorted(prints.items()), version]).encode()).hexdigest()
    inputs = {key: value for key, value in plain(props).items() if key in {*REPLACES, *UPDATES}}
    return inputs | {
        "names": sorted(prints),
        "version": version,
        "salt": salt,
        "fingerprints": prints,
        "fingerprint": overall,
        "digests": {name: digests[name] for name in prints if name in digests},
        "drifted": [],
        "org": org,
    }
