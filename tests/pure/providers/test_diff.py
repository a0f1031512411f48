"""What the providers decide without asking anybody: check and diff never touch the network."""

from __future__ import annotations

import socket
from typing import Any, NoReturn

import pytest
from pulumi.dynamic import ResourceProvider
from pulumi.dynamic.dynamic import serialize_provider
from pulumi.output import Unknown

from providers.fly_app import FlyAppProvider
from providers.fly_ip_address import FlyIpAddressProvider
from providers.fly_machine import FlyMachineProvider
from providers.fly_secrets import FlySecretsProvider
from providers.fly_secrets_state import outputs as secrets_outputs
from tests.support.dynamic_engine import over_the_wire

UNKNOWN = Unknown()  # type: ignore[no-untyped-call]
COMMON = {"endpoints": "sandbox"}
# Inputs that are compared with nothing: how long to wait and what may be taken over change no object by themselves.
NO_STATE = {"org", "adopt_existing", "adopt", "take_over", "healthy_timeout", "min_secrets_version"}
APP = COMMON | {"org": "acme", "name": "shop", "owner": "0123456789ab", "adopt_existing": False}
ADDRESS = COMMON | {"app": "shop", "kind": "v6"}
SECRETS = COMMON | {
    "app": "shop",
    "owner": "0123456789ab",
    "values": {"A": "1", "B": "2"},
    "absent": ["C"],
    "take_over": False,
}
CONFIG = {
    "image": "r/shop@sha256:aa",
    "env": {"A": "1"},
    "guest": {"memory_mb": 256},
    "services": [{"internal_port": 1, "checks": [{"interval": "60s"}]}],
}
MACHINE = COMMON | {
    "app": "shop",
    "name": "shop-ewr-1",
    "region": "ewr",
    "owner": "0123456789ab",
    "config": CONFIG,
    "min_secrets_version": 3,
    "secrets_fingerprint": "f",
    "healthy_timeout": 180,
    "adopt": False,
}
CASES: dict[str, tuple[type[ResourceProvider], dict[str, Any], dict[str, Any]]] = {
    "app": (FlyAppProvider, APP, {"app_id": "x", "hostname": "shop.fly.dev", "drifted": []}),
    "address": (FlyIpAddressProvider, ADDRESS, {"address": "2a09::1", "org": "acme"}),
    "secrets": (
        FlySecretsProvider,
        SECRETS,
        secrets_outputs(SECRETS, salt="00" * 16, version=3, digests={"A": "d", "B": "d"}, org="acme"),
    ),
    "machine": (FlyMachineProvider, MACHINE, {"machine_id": "m", "instance_id": "i", "drifted": [], "org": "acme"}),
}
KINDS = list(CASES)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> NoReturn:
        raise AssertionError("check and diff must not touch the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    for name in ("FLY_API_TOKEN", "FLY_FLAPS_BASE_URL", "FLY_API_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def made(kind: str) -> tuple[ResourceProvider, dict[str, Any], dict[str, Any]]:
    """Return the provider, its inputs and its old outputs, as they cross the wire."""
    provider, inputs, extra = CASES[kind]
    kept = {key: value for key, value in inputs.items() if key != "values"}
    return provider(), over_the_wire(inputs), over_the_wire(kept | extra)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_inputs_are_no_change(kind: str) -> None:
    """A second up with nothing changed does nothing, although numbers came back as floats."""
    provider, inputs, olds = made(kind)
    assert provider.check({}, inputs).failures == []
    result = provider.diff("id", olds, inputs)
    assert (result.changes, result.replaces) == (False, [])


@pytest.mark.parametrize(("kind", "key"), [(kind, key) for kind in KINDS for key in CASES[kind][1]])
def test_an_unknown_input_is_accepted_and_never_a_replacement(kind: str, key: str) -> None:
    """In a preview any input may be unknown; that alone must not announce that something is replaced."""
    provider, inputs, olds = made(kind)
    news = inputs | {key: UNKNOWN}
    assert provider.check(olds, news).failures == []
    result = provider.diff("id", olds, news)
    assert result.replaces == []
    assert result.changes == (key not in NO_STATE)


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        ("app", "name", "other"),
        ("address", "app", "other"),
        ("address", "kind", "shared_v4"),
        ("secrets", "app", "other"),
        ("machine", "app", "other"),
        ("machine", "name", "other"),
        ("machine", "region", "fra"),
        ("machine", "endpoints", "real"),
    ],
)
def test_what_is_part_of_the_identity_replaces_and_the_old_goes_first(kind: str, key: str, value: str) -> None:
    """Create adopts what has our marks, so a replacement must delete before it creates."""
    provider, inputs, olds = made(kind)
    result = provider.diff("id", olds, inputs | {key: value})
    assert result.replaces == [key]
    assert result.delete_before_replace
    assert result.changes


@pytest.mark.parametrize(
    "change",
    [
        {"config": CONFIG | {"image": "r/shop@sha256:bb"}},
        {"config": CONFIG | {"env": {}}},
        {"config": {key: value for key, value in CONFIG.items() if key != "guest"}},
        {"config": CONFIG | {"env": {"A": "1", "B": UNKNOWN}}},
        {"secrets_fingerprint": "g"},
        {"owner": "ba9876543210"},
    ],
)
def test_a_machine_s_other_inputs_change_it_in_place(change: dict[str, Any]) -> None:
    """Added, changed, removed and unknown values are updates, not replacements."""
    provider, inputs, olds = made("machine")
    result = provider.diff("id", olds, inputs | over_the_wire(change))
    assert (result.changes, result.replaces) == (True, [])


def test_another_spelling_of_a_duration_is_no_change() -> None:
    """60s and 1m0s are the same check interval."""
    provider, inputs, olds = made("machine")
    config = CONFIG | {"services": [{"internal_port": 1, "checks": [{"interval": "1m0s"}]}]}
    assert not provider.diff("id", olds, inputs | over_the_wire({"config": config})).changes


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "address"])
def test_drift_that_a_refresh_found_is_a_change(kind: str) -> None:
    """What somebody else changed is fixed by the next up."""
    provider, inputs, olds = made(kind)
    assert provider.diff("id", olds | {"drifted": ["image"]}, inputs).changes


@pytest.mark.parametrize(
    "values", [{"A": "1", "B": "changed"}, {"A": "1"}, {"A": "1", "B": "2", "C2": "3"}, {"A": "1", "B": UNKNOWN}]
)
def test_a_changed_removed_added_or_unknown_secret_is_a_change(values: dict[str, Any]) -> None:
    """Secrets are compared by fingerprint, since their values are not in the outputs."""
    provider, inputs, olds = made("secrets")
    assert "values" not in olds
    result = provider.diff("id", olds, inputs | {"values": values})
    assert (result.changes, result.replaces) == (True, [])


def test_outputs_of_secrets_hold_no_value() -> None:
    """The canary is in no output, whatever its key."""
    olds = secrets_outputs(
        SECRETS | {"values": {"A": "canary-7391"}}, salt="00" * 16, version=1, digests={}, org="acme"
    )
    assert "canary-7391" not in repr(olds)


def test_changing_the_organization_is_refused() -> None:
    """Fly cannot move an app, and a replacement would delete it."""
    provider, inputs, olds = made("app")
    failures = provider.check(olds, inputs | {"org": "other"}).failures
    assert [failure.property for failure in failures] == ["org"]
    assert 'from organization "acme" to "other"' in failures[0].reason


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        (kind, key)
        for kind in KINDS
        for key in ("app", "name", "owner", "kind", "region", "config", "endpoints")
        if key in CASES[kind][1]
    ],
)
def test_a_missing_input_is_named(kind: str, key: str) -> None:
    """Each required input is missed by its name."""
    provider, inputs, _ = made(kind)
    failures = provider.check({}, {name: value for name, value in inputs.items() if name != key}).failures
    assert key in {failure.property for failure in failures}


def test_contradictions_are_refused() -> None:
    """A secret both set and absent, a paid address, a third world: each is one failure."""
    secrets, inputs, _ = made("secrets")
    assert [f.property for f in secrets.check({}, inputs | {"absent": ["A"]}).failures] == ["absent"]
    address, inputs, _ = made("address")
    assert [f.property for f in address.check({}, inputs | {"kind": "v4"}).failures] == ["kind"]
    assert [f.property for f in address.check({}, inputs | {"endpoints": "staging"}).failures] == ["endpoints"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_state_refers_to_providers_by_name(kind: str) -> None:
    """Stored by value, a provider would run yesterday's code on destroy; by reference it is under 200 bytes."""
    assert len(serialize_provider(CASES[kind][0]())) < 200
    assert CASES[kind][0].serialize_as_secret_always is False
