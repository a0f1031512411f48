"""An app goes later than its deletion is accepted, and a name can be taken without the API saying so in our words."""

from __future__ import annotations

import pytest

from clients.fly.errors import FlyNameTakenError, FlyTimedOutError
from providers.fly_app import FlyAppProvider
from sandbox.testing import Sandbox
from tests.support.dynamic_engine import EngineSide
from tests.support.fly_world import ORG, OWNER, client_of

INPUTS = {"org": ORG, "name": "shop", "owner": OWNER, "endpoints": "sandbox", "adopt_existing": False}


def test_delete_returns_when_the_app_is_gone_so_that_the_next_up_makes_another(sandbox: Sandbox) -> None:
    """A destroy and an up at once: the second app is a new one, not the first on its way out."""
    sandbox.fly.options.delete_seconds = 5.0
    app = EngineSide(FlyAppProvider).create(INPUTS)
    before = sandbox.fly.state.apps["shop"].id
    app.delete()
    EngineSide(FlyAppProvider).create(INPUTS)
    assert sandbox.fly.state.apps["shop"].id != before


def test_an_app_that_does_not_go_is_said_to_be_there(sandbox: Sandbox) -> None:
    """After the time allowed the sentence names the app and the command that deletes it."""
    sandbox.fly.options.delete_seconds = 10_000.0
    apps = client_of(sandbox).apps
    apps.create("shop", ORG)
    apps.delete("shop")
    with pytest.raises(
        FlyTimedOutError, match=r'could not delete app "shop": .* still there after 3 s.*fly apps destroy'
    ):
        apps.wait_gone("shop", within=3.0)


@pytest.mark.parametrize("status", [409, 422])
def test_a_taken_name_is_understood_in_both_editions_of_the_api(sandbox: Sandbox, status: int) -> None:
    """A 409 says it by its status alone, a 422 by its code."""
    sandbox.fly.options.name_taken_status = status
    apps = client_of(sandbox).apps
    apps.create("shop", ORG)
    with pytest.raises(FlyNameTakenError):
        apps.create("shop", ORG)
