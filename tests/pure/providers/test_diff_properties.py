"""What holds of every provider's diff, whatever the state and the program say."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pulumi.dynamic import ResourceProvider

from clients import better_stack
from clients.fly.config import with_marks
from clients.fly.model import Machine
from providers.api_key import ApiKeyProvider
from providers.better_stack_monitor import MonitorProvider, _outs
from providers.fly_certificate import FlyCertificateProvider
from providers.fly_machine import FlyMachineProvider
from providers.fly_machine_state import outputs, seen
from providers.fly_secrets import FlySecretsProvider
from providers.fly_secrets_state import outputs as secrets_outputs
from tests.pure.providers.test_diff import CASES, COMMON, MACHINE, SECRETS, no_network
from tests.support.any_json import JSON, partly_unknown
from tests.support.dynamic_engine import over_the_wire

__all__ = ["no_network"]

MONITOR = COMMON | {
    "url": "https://shop.fly.dev/api/ready",
    "name": "shop",
    "check_frequency": 180,
    "regions": ["us", "eu"],
    "request_timeout": 15,
}
MORE: dict[str, tuple[type[ResourceProvider], dict[str, Any], dict[str, Any]]] = {
    "monitor": (MonitorProvider, MONITOR, {"monitor_id": "7"}),
    "key": (ApiKeyProvider, {"consumer": "github", "generation": 1}, {"value": "pf_x", "sha256": "00"}),
    "certificate": (
        FlyCertificateProvider,
        COMMON | {"app": "shop", "hostname": "flows.example.com"},
        {"org": "acme", "requested_at": 7, "acme_requested": True},
    ),
}
ALL = CASES | MORE
TEXTS = st.text(max_size=12)
SECTIONS = ["image", "env", "guest", "services", "checks", "metadata", "mounts", "restart", "x"]
CONFIGS = st.dictionaries(st.sampled_from(SECTIONS), JSON, max_size=4)
NAMES = st.from_regex(r"[A-Z][A-Z_]{0,8}", fullmatch=True)
REGIONS = st.lists(st.sampled_from(["us", "eu", "as", "au"]), min_size=1)


def olds_of(kind: str) -> dict[str, Any]:
    _, inputs, extra = ALL[kind]
    olds: dict[str, Any] = over_the_wire({key: value for key, value in inputs.items() if key != "values"} | extra)
    return olds


@given(data=st.data())
def test_an_unknown_anywhere_is_accepted_and_replaces_nothing(data: st.DataObject) -> None:
    """Also deep in an input, and against a state of an older version that lacks some outputs."""
    kind = data.draw(st.sampled_from(sorted(ALL)))
    provider, inputs, _ = ALL[kind]
    key = data.draw(st.sampled_from(sorted(inputs)))
    news = over_the_wire(inputs) | {key: data.draw(partly_unknown(over_the_wire(inputs)[key]))}
    olds = olds_of(kind)
    outputs_alone = sorted(olds.keys() - inputs.keys() - {"salt", "fingerprints"})
    for gone in data.draw(st.sets(st.sampled_from(outputs_alone))) if outputs_alone else ():
        del olds[gone]
    assert provider().check(olds, news).failures == []
    assert provider().diff("id", olds, news).replaces == []


@pytest.mark.parametrize("kind", MORE)
def test_no_kind_differs_from_its_own_outputs(kind: str) -> None:
    """As they come back from the engine."""
    provider, inputs, _ = ALL[kind]
    result = provider().diff("id", olds_of(kind), over_the_wire(inputs))
    assert (result.changes, result.replaces) == (False, [])


@given(config=CONFIGS, health=st.integers(10, 3600), version=st.integers(0, 2**40))
def test_a_machine_of_any_config_does_not_differ_from_what_its_create_returned(
    config: dict[str, Any], health: int, version: int
) -> None:
    """Numbers, empty sections and nesting of every kind survive the way through the engine."""
    inputs = MACHINE | {"config": config, "healthy_timeout": health, "min_secrets_version": version}
    olds = over_the_wire(outputs(over_the_wire(inputs), Machine.from_wire({"id": "1857"}), "acme"))
    result = FlyMachineProvider().diff("id", olds, over_the_wire(inputs))
    assert (result.changes, result.replaces) == (False, [])


@given(config=CONFIGS)
def test_a_machine_that_shows_what_it_was_told_has_no_drift(config: dict[str, Any]) -> None:
    """A refresh right after an up changes nothing, whatever the config."""
    config = {key: value for key, value in config.items() if key not in {"env", "metadata"}}
    inputs = over_the_wire(MACHINE | {"config": config})
    live = with_marks(inputs["config"], name="shop-ewr-1", owner="0123456789ab", region="ewr")
    machine = Machine.from_wire({"id": "1857", "state": "started", "host_status": "ok", "config": live})
    found = seen(over_the_wire(outputs(inputs, machine, "acme")), machine)
    assert found["drifted"] == []
    assert not FlyMachineProvider().diff("id", over_the_wire(found), inputs).changes


@given(live=CONFIGS)
def test_any_config_that_a_machine_shows_can_be_compared(live: dict[str, Any]) -> None:
    """Sections of another kind than ours are drift, and no exception."""
    inputs = over_the_wire(MACHINE)
    machine = Machine.from_wire({"id": "1857", "state": "started", "host_status": "ok", "config": live})
    found = seen(over_the_wire(outputs(inputs, machine, "acme")), machine)
    assert found["drifted"]
    assert FlyMachineProvider().diff("id", over_the_wire(found), inputs).changes


@given(
    values=st.dictionaries(
        st.from_regex(r"[A-Z][A-Z_]{0,8}", fullmatch=True), TEXTS.filter(bool), min_size=1, max_size=2
    )
)
def test_secrets_do_not_differ_from_their_own_fingerprints(values: dict[str, str]) -> None:
    """Whatever letters a value has; and another value does."""
    inputs = SECRETS | {"values": values, "absent": []}
    kept = secrets_outputs(inputs, salt="00" * 16, version=3, digests=dict.fromkeys(values, "d"), org="acme")
    olds = over_the_wire(kept)
    assert not FlySecretsProvider().diff("id", olds, over_the_wire(inputs)).changes
    name = min(values)
    changed = inputs | {"values": {**values, name: values[name] + "x"}}
    assert FlySecretsProvider().diff("id", olds, over_the_wire(changed)).changes


@given(frequency=st.integers(30, 1800), regions=REGIONS, name=TEXTS)
def test_a_monitor_does_not_differ_from_what_its_create_returned(frequency: int, regions: list[str], name: str) -> None:
    """In whatever order the regions come back."""
    inputs = over_the_wire(MONITOR | {"check_frequency": frequency, "regions": regions, "name": name})
    olds = over_the_wire(_outs(inputs, better_stack.Monitor(id="7", attributes={})))
    assert not MonitorProvider().diff("7", olds, inputs | {"regions": regions[::-1]}).changes
