from __future__ import annotations

from typing import Any

import pytest

from clients.fly.errors import FlyRefusedError, FlyUnprovenError
from providers.fly_certificate import FlyCertificateProvider
from sandbox.testing import Sandbox
from tests.support.dynamic_engine import EngineSide
from tests.support.fly_world import ORG, client_of, delete_by_hand
from tests.support.waiting import until

NAME = "prefect.example.com"


def inputs(**changes: Any) -> dict[str, Any]:
    return {"app": "shop", "hostname": NAME, "endpoints": "sandbox"} | changes


def engine() -> EngineSide:
    return EngineSide(FlyCertificateProvider)


def names(sandbox: Sandbox) -> list[str]:
    return sorted(sandbox.fly.state.apps["shop"].certificates)


def requests(sandbox: Sandbox) -> int:
    return sum(call["path"].endswith("/certificates/acme") for call in sandbox.journal("fly"))


@pytest.fixture(autouse=True)
def app(sandbox: Sandbox) -> None:
    client_of(sandbox).apps.create("shop", ORG)
    for kind in ("shared_v4", "v6"):
        sandbox.fly.state.add_address(sandbox.fly.state.apps["shop"], kind)


def test_a_name_is_taken_once(sandbox: Sandbox) -> None:
    """Create, lose the state, create again: one request, and a second up changes nothing."""
    first = engine().create(inputs())
    again = engine().create(inputs())
    assert (names(sandbox), requests(sandbox)) == ([NAME], 1)
    assert first.id == again.id == f"shop/{NAME}"
    assert again.refresh()
    assert again.up(inputs()) == "same"


def test_the_records_to_add_are_a_table(sandbox: Sandbox) -> None:
    """A CNAME, or the app's addresses, then the challenge and the proof of ownership, each with what it is for."""
    rows = engine().create(inputs()).outputs["dns_records"]
    v4, v6 = (address.ip for address in sandbox.fly.state.apps["shop"].addresses)
    assert [(row["type"], row["name"]) for row in rows] == [
        ("CNAME", NAME),
        ("A", NAME),
        ("AAAA", NAME),
        ("CNAME", f"_acme-challenge.{NAME}"),
        ("TXT", f"_fly-ownership.{NAME}"),
    ]
    assert rows[0]["value"].endswith(".shop.fly.dev")
    assert (rows[1]["value"], rows[2]["value"]) == (v4, v6)
    assert all(row["value"] and row["purpose"] for row in rows)


@pytest.mark.parametrize(
    "trouble", [{"drop_answer": True}, {"reset": True}, {"status": 503, "body": "no JSON"}, {"status": 408}]
)
def test_an_unclear_answer_leaves_exactly_one_name(sandbox: Sandbox, trouble: dict[str, Any]) -> None:
    """Whether the POST had its effect or not, the app has the name afterwards and the resource knows it."""
    sandbox.faults("fly").add("POST", "certificates/acme", **trouble)
    assert engine().create(inputs()).outputs["acme_requested"] is True
    assert names(sandbox) == [NAME]


def test_a_name_that_fly_refuses_is_one_sentence(sandbox: Sandbox) -> None:
    """The API's words stand in it, and nothing is left behind."""
    with pytest.raises(FlyRefusedError, match=r'could not request a certificate for "no name" .*Hostname is invalid'):
        engine().create(inputs(hostname="no name"))
    assert names(sandbox) == []


def test_a_name_that_was_removed_by_hand_comes_back(sandbox: Sandbox) -> None:
    """Refresh drops it; what is created then is told apart from the one before."""
    certificate = engine().create(inputs())
    before = certificate.outputs["requested_at"]
    client_of(sandbox).certificates.remove("shop", NAME)
    assert not certificate.refresh()
    until(lambda: certificate.create(inputs()).outputs["requested_at"] > before)
    assert names(sandbox) == [NAME]


def test_a_certificate_that_fly_renews_no_more_is_asked_for_again(sandbox: Sandbox) -> None:
    """`fly certs remove --acme-only` is drift; an up puts it right and says that it is another certificate."""
    certificate = engine().create(inputs())
    before = certificate.outputs["requested_at"]
    sandbox.fly.state.apps["shop"].certificates[NAME].acme_requested = False
    assert certificate.up(inputs()) == "same", "only a refresh may see it"
    assert certificate.refresh()
    until(lambda: client_of(sandbox).timing.clock() > before + 1)
    assert certificate.up(inputs()) == "update"
    assert sandbox.fly.state.apps["shop"].certificates[NAME].acme_requested
    assert certificate.outputs["requested_at"] > before
    assert certificate.up(inputs()) == "same"


def test_how_far_it_is_is_no_drift(sandbox: Sandbox) -> None:
    """Issued in between: a refresh finds nothing that an up would change."""
    certificate = engine().create(inputs())
    before = dict(certificate.outputs)
    sandbox.fly.state.set_dns(NAME, "CNAME", ["shop.fly.dev"])
    until(lambda: client_of(sandbox).certificates.check("shop", NAME).issued)
    assert certificate.refresh()
    assert certificate.outputs == before
    assert certificate.up(inputs()) == "same"


def test_delete_gives_it_up_and_is_repeatable(sandbox: Sandbox) -> None:
    """Also when the app is gone with it."""
    certificate = engine().create(inputs())
    again = EngineSide(FlyCertificateProvider, id=certificate.id, outputs=certificate.outputs)
    last = EngineSide(FlyCertificateProvider, id=certificate.id, outputs=certificate.outputs)
    certificate.delete()
    assert names(sandbox) == []
    again.delete()
    delete_by_hand(sandbox, "shop")
    last.delete()


def test_a_token_of_another_organization_does_not_make_it_gone(sandbox: Sandbox) -> None:
    """With the app gone the 404 alone is no proof."""
    certificate = engine().create(inputs())
    delete_by_hand(sandbox, "shop")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLY_API_TOKEN", sandbox.fly.state.add_token("somebody-else").value)
        for act in (certificate.refresh, certificate.delete):
            with pytest.raises(FlyUnprovenError):
                act()


def test_another_name_replaces_it(sandbox: Sandbox) -> None:
    """The old name is given up, the new one taken; an unknown one replaces nothing yet."""
    certificate = engine().create(inputs())
    assert certificate.up(inputs(hostname="other.example.com")) == "replace"
    assert names(sandbox) == ["other.example.com"]
