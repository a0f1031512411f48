from __future__ import annotations

import hashlib
import re
from typing import Any

import pulumi
import pytest

from providers.api_key import ApiKeyProvider
from providers.better_stack_monitor import MonitorProvider

UNKNOWN = pulumi.output.Unknown()  # type: ignore[no-untyped-call]  # the SDK's class has no annotations


def monitor(**changes: Any) -> dict[str, Any]:
    return {
        "endpoints": "real",
        "url": "https://captionacc-prefect.fly.dev/api/ready",
        "name": "Prefect",
        "check_frequency": 180.0,
        "regions": ["us", "eu"],
        "request_timeout": 15.0,
        **changes,
    }


def test_a_key_is_random_prefixed_and_known_by_its_hash() -> None:
    """Two keys differ; each is ASCII without a colon, so that name:key can be parsed, and its hash is its SHA-256."""
    made = [ApiKeyProvider().create({"consumer": "github", "generation": 1.0}) for _ in range(2)]
    values = [(one.outs or {})["value"] for one in made]
    assert values[0] != values[1]
    assert all(re.fullmatch(r"pf_[A-Za-z0-9_-]{43}", value) for value in values)
    assert [(one.outs or {})["sha256"] for one in made] == [hashlib.sha256(v.encode()).hexdigest() for v in values]
    assert made[0].id == "github/1"


def test_another_generation_is_another_key_and_an_unknown_is_not() -> None:
    """Only a known other identity replaces; equal numbers compare equal as the engine's floats."""
    provider, olds = ApiKeyProvider(), {"consumer": "github", "generation": 1.0, "value": "pf_x", "sha256": "0"}
    assert provider.diff("", olds, {"consumer": "github", "generation": 1}).changes is False
    assert provider.diff("", olds, {"consumer": "github", "generation": 2}).replaces == ["generation"]
    assert provider.diff("", olds, {"consumer": UNKNOWN, "generation": 1}).replaces == []


def test_a_refreshed_key_is_the_same_key() -> None:
    """Read returns value and hash as they are, and inputs without them."""
    olds = {"consumer": "github", "generation": 1.0, "value": "pf_x", "sha256": "0"}
    read = ApiKeyProvider().read("github/1", olds)
    assert (read.id, read.outs, read.inputs) == ("github/1", olds, {"consumer": "github", "generation": 1.0})


@pytest.mark.parametrize("key", ["endpoints", "url"])
def test_a_monitor_of_another_address_is_a_replacement(key: str) -> None:
    """The URL is the identity, the old one goes first; an unknown one is no replacement."""
    provider, outs = MonitorProvider(), {**monitor(), "monitor_id": "1"}
    difference = provider.diff("1", outs, monitor(**{key: "sandbox"}))
    assert (difference.replaces, difference.delete_before_replace) == ([key], True)
    assert provider.diff("1", outs, monitor(**{key: UNKNOWN})).replaces == []


def test_a_removed_setting_is_a_change_and_the_order_of_regions_is_not() -> None:
    """Diff sees keys that are gone from the inputs, and compares regions as a set."""
    provider, outs = MonitorProvider(), {**monitor(ssl_expiration=14.0), "monitor_id": "1"}
    assert provider.diff("1", outs, monitor()).changes is True
    assert provider.diff("1", outs, monitor(ssl_expiration=14, regions=["eu", "us"])).changes is False


@pytest.mark.parametrize(("key", "value"), [("request_timeout", 20.0), ("endpoints", "production")])
def test_what_the_api_would_refuse_is_refused_in_the_preview(key: str, value: object) -> None:
    """Check names the input that is wrong, without asking anybody; unknown values pass."""
    provider = MonitorProvider()
    assert [failure.property for failure in provider.check({}, monitor(**{key: value})).failures or []] == [key]
    assert not provider.check({}, monitor(**{key: UNKNOWN})).failures
