from __future__ import annotations

from typing import Any

import pytest

from clients.fly.addresses import Kind
from clients.fly.errors import FlyUnprovenError
from providers.fly_ip_address import FlyIpAddressProvider
from sandbox.testing import Sandbox
from tests.support.dynamic_engine import EngineSide
from tests.support.fly_world import ORG, client_of, delete_by_hand


def inputs(**changes: Any) -> dict[str, Any]:
    return {"app": "shop", "kind": "v6", "endpoints": "sandbox"} | changes


def engine() -> EngineSide:
    return EngineSide(FlyIpAddressProvider)


def ips(sandbox: Sandbox) -> list[str]:
    return [address.ip for address in sandbox.fly.state.apps["shop"].addresses]


@pytest.fixture(autouse=True)
def app(sandbox: Sandbox) -> None:
    client_of(sandbox).apps.create("shop", ORG)


@pytest.mark.parametrize("kind", ["v6", "shared_v4", "private_v6"])
def test_an_address_is_allocated_once(sandbox: Sandbox, kind: str) -> None:
    """Create, lose the state, create again: one address, and a second up changes nothing."""
    address = engine().create(inputs(kind=kind))
    again = engine().create(inputs(kind=kind))
    assert [again.outputs["address"]] == [address.outputs["address"]] == ips(sandbox)
    assert address.refresh()
    assert address.up(inputs(kind=kind)) == "same"


def test_an_address_of_another_kind_is_not_taken_for_it(sandbox: Sandbox) -> None:
    """A private v6 is no public one, and a v4 no v6."""
    sandbox.fly.state.add_address(sandbox.fly.state.apps["shop"], "private_v6")
    sandbox.fly.state.add_address(sandbox.fly.state.apps["shop"], "shared_v4")
    assert not engine().create(inputs()).outputs["address"].startswith(("fd", "66."))
    assert len(ips(sandbox)) == 3


@pytest.mark.parametrize(
    "trouble", [{"drop_answer": True}, {"reset": True}, {"status": 503, "body": "no JSON"}, {"status": 408}]
)
def test_an_unclear_answer_leaves_exactly_one_address(sandbox: Sandbox, trouble: dict[str, Any]) -> None:
    """Whether the POST had its effect or not, there is one address afterwards."""
    sandbox.faults("fly").add("POST", "ip_assignments", **trouble)
    address = engine().create(inputs())
    assert ips(sandbox) == [address.outputs["address"]]


def test_a_released_address_is_drift_that_the_next_up_fixes(sandbox: Sandbox) -> None:
    """Refresh drops it, create brings a new one."""
    address = engine().create(inputs())
    client_of(sandbox).addresses.release("shop", address.outputs["address"])
    assert not address.refresh()
    address.create(inputs())
    assert ips(sandbox) == [address.outputs["address"]]


def test_delete_releases_it_and_is_repeatable(sandbox: Sandbox) -> None:
    """Also when the app is gone with it."""
    address = engine().create(inputs())
    again = EngineSide(FlyIpAddressProvider, id=address.id, outputs=address.outputs)
    address.delete()
    assert ips(sandbox) == []
    again.delete()
    again = EngineSide(FlyIpAddressProvider, id="x", outputs=inputs() | {"address": "2a09::1", "org": ORG})
    delete_by_hand(sandbox, "shop")
    again.delete()
    assert not EngineSide(FlyIpAddressProvider, id="x", outputs=inputs() | {"address": "2a09::1", "org": ORG}).refresh()


def test_a_token_of_another_organization_does_not_make_it_gone(sandbox: Sandbox) -> None:
    """With the app gone the 404 alone is no proof."""
    address = engine().create(inputs())
    delete_by_hand(sandbox, "shop")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLY_API_TOKEN", sandbox.fly.state.add_token("somebody-else").value)
        for act in (address.refresh, address.delete):
            with pytest.raises(FlyUnprovenError):
                act()


def test_another_kind_is_another_address(sandbox: Sandbox) -> None:
    """A replacement releases the old one and leaves one of the new kind."""
    address = engine().create(inputs())
    assert address.up(inputs(kind="shared_v4")) == "replace"
    client = client_of(sandbox)
    assert [found.is_of(Kind.SHARED_V4) for found in client.addresses.list("shop")] == [True]
