"""What two pieces of the providers' comparing say, place by place."""

from __future__ import annotations

from typing import Any

import pulumi

from clients.fly.model import SUCCESSOR_KEY, Machine
from clients.names import marker_of
from providers import fly_machine_state as state
from providers.api_key import ApiKeyProvider
from providers.fly_certificate import FlyCertificateProvider
from providers.fly_secrets_state import drift
from providers.lifecycle import adopting, changed, plain, unknown
from providers.prefect_variable import VariableProvider

OWNER = "0123456789ab"
UNKNOWN = pulumi.output.Unknown()  # type: ignore[no-untyped-call]  # the SDK's class has no annotations
WRITTEN = {"owner": OWNER, "names": ["A", "B"], "digests": {"A": "a", "B": "b"}, "absent": ["C", "D"]}


def test_drift_names_what_was_done_to_each_of_our_names() -> None:
    """Removed, changed, set again, and our mark removed; sorted. Other names of the app are nobody's business here."""
    mark = marker_of(OWNER)
    assert drift(WRITTEN, {"A": "a", "B": "b", mark: "m", "OTHER": "o"}) == []
    assert drift(WRITTEN, {"B": "x", "D": "d"}) == sorted(["A: removed", "B: changed", "D: set", f"{mark}: removed"])
    assert (
        drift({key: value for key, value in WRITTEN.items() if key != "absent"}, {"A": "a", "B": "b", mark: "m"}) == []
    )


def test_a_resource_that_adopts_is_deleted_before_it_is_replaced() -> None:
    """Beside the options that it was given, and with the outputs that are secret."""
    options = adopting(pulumi.ResourceOptions(retain_on_delete=True), secret_outputs=("key",))
    assert (options.delete_before_replace, options.retain_on_delete) == (True, True)
    assert options.additional_secret_outputs == ["key"]
    assert adopting(None).delete_before_replace


CONFIG = {"image": "r/shop@sha256:aa", "env": {"A": "1"}, "restart": {"policy": "always"}}
PROPS = {
    "app": "shop",
    "name": "shop-ewr-1",
    "region": "ewr",
    "owner": OWNER,
    "endpoints": "sandbox",
    "config": CONFIG,
    "org": "acme",
    "machine_id": "m1",
    "instance_id": "i1",
    "private_ip": "fdaa::1",
}


def machine(**changes: Any) -> Machine:
    """The machine as Fly shows it, with our marks."""
    config = {**state.wanted_of(PROPS).config, **changes.pop("config", {})}
    given = {"id": "m1", "state": "started", "instance_id": "i9", "private_ip": "fdaa::2", "host_status": "ok"}
    return Machine.from_wire({**given, "config": config, **changes})


def test_what_is_wrong_with_a_machine_beside_its_config() -> None:
    """Each by its name; one that is there to stop by itself may be stopped."""
    assert state.state_drift(machine()) == []
    marks = {"metadata": {SUCCESSOR_KEY: "m1/shop-ewr-1-b"}}
    wrong = machine(state="stopped", host_status="unreachable", cordoned=True, config=marks)
    assert state.state_drift(wrong) == ["state: stopped", "host: unreachable", "cordoned", "update: interrupted"]
    assert state.state_drift(machine(state="stopped", config={"services": [{"autostop": "stop"}]})) == []


def test_a_read_shows_what_somebody_changed_and_keeps_the_rest() -> None:
    """The same machine keeps the instance of our last write; an address that is not shown is the one we knew."""
    seen = state.seen(PROPS, machine(config={"env": {"A": "2"}}))
    assert (seen["config"]["env"], seen["instance_id"], seen["private_ip"]) == ({"A": "2"}, "i1", "fdaa::2")
    assert "env.A" in seen["drifted"]
    assert state.seen(PROPS, machine(private_ip=""))["private_ip"] == "fdaa::1"
    unsaid = {key: value for key, value in PROPS.items() if key != "private_ip"}
    assert state.seen(unsaid, machine(private_ip=""))["private_ip"] == ""
    for status in ("", "ok"):
        assert state.seen(PROPS, machine(host_status=status, config={"env": {"A": "2"}}))["config"]["env"] == {"A": "2"}
    silent = state.seen(PROPS, machine(host_status="unreachable", config={"env": {}}))
    assert (silent["config"], silent["drifted"]) == (CONFIG, ["host: unreachable"])


def test_another_machine_in_its_place_brings_its_own_instance() -> None:
    """The run that made it could not write that down."""
    seen = state.seen(PROPS, machine(id="m2"))
    assert (seen["machine_id"], seen["instance_id"], seen["org"], seen["app"]) == ("m2", "i9", "acme", "shop")


def test_a_config_that_is_not_there_may_be_another() -> None:
    """Missing or unknown, whole or in part; the same one is none."""
    assert state.config_changed({"config": CONFIG}, {})
    assert state.config_changed({"config": CONFIG}, {"config": UNKNOWN})
    assert state.config_changed({"config": CONFIG}, {"config": {**CONFIG, "env": {"A": UNKNOWN}}})
    assert not state.config_changed({"config": CONFIG}, {"config": CONFIG})


def test_differences_that_only_some_resources_know() -> None:
    """A certificate that is renewed no more, a key's generation, an object's owner."""
    name = {"app": "shop", "hostname": "x.example", "endpoints": "sandbox"}
    for requested, changes in ((False, True), (True, False), (None, False)):
        found = FlyCertificateProvider().diff("x", {**name, "acme_requested": requested}, name)
        assert bool(found.changes) is changes
    key = {"consumer": "github", "generation": 1}
    found = ApiKeyProvider().diff("github/1", key, {**key, "generation": 2})
    assert (found.changes, found.replaces) == (True, ["generation"])
    variable = {"name": "v", "value": 1, "owner": OWNER}
    assert VariableProvider().diff("v", variable, {**variable, "owner": "ba9876543210"}).changes
    assert not VariableProvider().diff("v", variable, variable).changes


def test_what_is_not_known_yet_is_never_the_same() -> None:
    """Wherever it stands in a value, and also beside another that is not known."""
    for value in (UNKNOWN, [UNKNOWN], ["a", UNKNOWN], {"a": [{"b": UNKNOWN}]}):
        assert unknown(value)
        assert changed({"a": value}, {"a": value}, ["a"]) == ["a"]
    assert not unknown(["a", {"b": ["c"]}])


def test_the_engines_own_keys_are_no_props() -> None:
    """Nor is what is None; numbers that came back as floats are whole again."""
    assert plain({"__provider": "x", "a": 2.0, "b": None, "c__": "kept"}) == {"a": 2, "c__": "kept"}
