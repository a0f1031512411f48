from __future__ import annotations

from typing import Any

import pytest

from clients.fly.errors import (
    FlyForbiddenError,
    FlyForeignError,
    FlyNameTakenError,
    FlyNotFoundError,
    FlyUnauthorizedError,
    FlyUnprovenError,
)
from clients.fly.model import MachineRequest
from providers.fly_app import FlyAppProvider
from sandbox.testing import Sandbox
from tests.support.dynamic_engine import EngineSide
from tests.support.fly_world import ORG, OWNER, STRANGER, client_of, config, delete_by_hand


def inputs(**changes: Any) -> dict[str, Any]:
    return {"org": ORG, "name": "shop", "owner": OWNER, "endpoints": "sandbox", "adopt_existing": False} | changes


def engine() -> EngineSide:
    return EngineSide(FlyAppProvider)


def add_machine(sandbox: Sandbox, owner: str, name: str = "m1") -> None:
    metadata = {"fly_process_group": "app"} | ({"prefect_fly_owner": owner} if owner else {})
    request = MachineRequest(name=name, region="ewr", config=config(metadata=metadata))
    client_of(sandbox).machines.create("shop", request)


def test_a_new_app_is_made_and_a_second_up_changes_nothing(sandbox: Sandbox) -> None:
    """Create reports id and host name; the same inputs are no diff, also after a refresh."""
    app = engine().create(inputs())
    assert (app.id, app.outputs["hostname"]) == ("shop", "shop.fly.dev")
    assert sandbox.fly.state.apps["shop"].org == ORG
    assert app.refresh()
    assert app.up(inputs()) == "same"


def test_an_empty_app_of_ours_is_adopted(sandbox: Sandbox) -> None:
    """A run that was killed between creating and recording goes through the second time."""
    engine().create(inputs())
    again = engine().create(inputs())
    assert again.id == "shop"
    assert [name for name in sandbox.fly.state.apps if name == "shop"] == ["shop"]


def test_an_app_of_another_organization_is_taken(sandbox: Sandbox) -> None:
    """Names are global: 403 says that it exists and is not ours."""
    sandbox.fly.state.add_app("shop", "somebody-else")
    with pytest.raises(
        FlyNameTakenError, match=r'could not create app "shop": the name is taken .* Choose another name'
    ):
        engine().create(inputs())


def test_an_app_in_another_organization_of_ours_is_refused(sandbox: Sandbox) -> None:
    """A token of two organizations does not make the app the right one."""
    sandbox.fly.state.add_app("shop", "second-org")
    token = sandbox.fly.state.add_token("second-org").value
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLY_API_TOKEN", f"{sandbox.env()['FLY_API_TOKEN']},{token}")
        with pytest.raises(FlyForeignError, match='by your organization "second-org"'):
            engine().create(inputs())


def test_an_app_with_machines_needs_the_setting(sandbox: Sandbox) -> None:
    """Without adoptExisting somebody's running server is not taken; with it, it is."""
    client_of(sandbox).apps.create("shop", ORG)
    add_machine(sandbox, "")
    with pytest.raises(FlyForeignError, match=r"fly\.adoptExisting: true"):
        engine().create(inputs())
    assert engine().create(inputs(adopt_existing=True)).id == "shop"


def test_machines_that_this_stack_left_do_not_stand_in_the_way(sandbox: Sandbox) -> None:
    """A stack whose state was lost finds its own app again."""
    client_of(sandbox).apps.create("shop", ORG)
    add_machine(sandbox, OWNER)
    assert engine().create(inputs()).id == "shop"


@pytest.mark.parametrize(
    "trouble", [{"drop_answer": True}, {"reset": True}, {"status": 503, "body": "no JSON"}, {"status": 408}]
)
def test_a_create_whose_answer_was_lost_finds_its_app(sandbox: Sandbox, trouble: dict[str, Any]) -> None:
    """Whether the POST had its effect or not, the app is there afterwards, and it is not "taken"."""
    sandbox.faults("fly").add("POST", r"/apps$", **trouble)
    assert engine().create(inputs()).id == "shop"


@pytest.mark.parametrize("status", [404, 401])
def test_a_new_app_that_is_not_known_everywhere_yet_is_waited_for(sandbox: Sandbox, status: int) -> None:
    """Right after creating, the API answers 404 or 401 for a while."""
    fault = sandbox.faults("fly").add("GET", r"/apps/shop$", skip=1, times=3, status=status, body={"error": "?"})
    assert engine().create(inputs()).id == "shop"
    assert fault.hits == 3


def test_gone_is_believed_to_a_token_of_the_organization_only(sandbox: Sandbox) -> None:
    """Read drops a deleted app with the right token, and raises with any other."""
    app = engine().create(inputs())
    delete_by_hand(sandbox, "shop")
    other = sandbox.fly.state.add_token("somebody-else").value
    for token, error in ((other, FlyUnprovenError), ("nobody's", FlyUnauthorizedError)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("FLY_API_TOKEN", token)
            with pytest.raises(error):
                app.refresh()
            with pytest.raises(error):
                app.delete()
    assert not app.refresh()


def test_a_token_that_may_not_see_the_app_raises(sandbox: Sandbox) -> None:
    """403 is never gone."""
    app = engine().create(inputs())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLY_API_TOKEN", sandbox.fly.state.add_token("somebody-else").value)
        for act in (app.refresh, app.delete):
            with pytest.raises(FlyForbiddenError):
                act()
    assert "shop" in sandbox.fly.state.apps


def test_a_deploy_token_of_another_app_proves_nothing(sandbox: Sandbox) -> None:
    """It belongs to the organization and still does not see this app."""
    app = engine().create(inputs())
    delete_by_hand(sandbox, "shop")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLY_API_TOKEN", sandbox.fly.state.add_token(ORG, ["blog"]).value)
        with pytest.raises(FlyUnprovenError):
            app.refresh()
        patch.setenv("FLY_API_TOKEN", sandbox.fly.state.add_token(ORG, ["shop"]).value)
        assert not app.refresh()


def test_delete_sweeps_our_machines_and_is_repeatable(sandbox: Sandbox) -> None:
    """A machine that an interrupted run left goes with the app; a second delete is fine."""
    app = engine().create(inputs())
    add_machine(sandbox, OWNER)
    again = EngineSide(FlyAppProvider, id=app.id, inputs=app.inputs, outputs=app.outputs)
    app.delete()
    assert "shop" not in sandbox.fly.state.apps
    again.delete()


@pytest.mark.parametrize("owner", ["", STRANGER])
def test_delete_refuses_machines_of_somebody_else(sandbox: Sandbox, owner: str) -> None:
    """Neither a person's nor another stack's machine is destroyed with the app, nor is ours before that is clear."""
    app = engine().create(inputs())
    add_machine(sandbox, owner)
    add_machine(sandbox, OWNER, "m2")
    with pytest.raises(FlyForeignError, match='could not delete app "shop": it holds machines'):
        app.delete()
    assert len(sandbox.fly.state.apps["shop"].live_machines) == 2


def test_a_replacement_leaves_exactly_one_app(sandbox: Sandbox) -> None:
    """`up --replace` deletes before it creates, so that create does not adopt what is then deleted."""
    app = engine().create(inputs())
    first = app.outputs["app_id"]
    app.delete()
    app.create(inputs())
    assert app.outputs["app_id"] != first
    assert sandbox.fly.state.apps["shop"].id == app.outputs["app_id"]


def test_a_suspended_app_is_drift_that_the_next_up_fixes(sandbox: Sandbox) -> None:
    """The refresh names it; the app's own update has nothing to do, since its machines bring it back."""
    app = engine().create(inputs())
    add_machine(sandbox, OWNER)
    sandbox.fly.state.apps["shop"].suspended = True
    assert app.refresh()
    assert app.outputs["drifted"] == ["status: suspended"]
    assert app.up(inputs()) == "update"
    assert app.up(inputs()) == "same"


@pytest.mark.parametrize(("org", "apps"), [("somebody-else", None), (ORG, ["blog"])])
def test_a_token_that_cannot_make_the_app_is_told_before_anything_is_made(
    sandbox: Sandbox, org: str, apps: list[str] | None
) -> None:
    """The sentence says what the token covers; nothing is posted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLY_API_TOKEN", sandbox.fly.state.add_token(org, apps).value)
        with pytest.raises(FlyForbiddenError, match=f'covers organization "{org}".*fly tokens create org -o {ORG}'):
            engine().create(inputs())
    assert {call["method"] for call in sandbox.journal("fly")} == {"GET"}


@pytest.mark.parametrize(("other", "org"), [("misspelled", None), ("theirs", "somebody-else")])
def test_an_app_that_the_stack_cannot_reach_is_told_before_anything_is_made(
    sandbox: Sandbox, other: str, org: str | None
) -> None:
    """A wrong orchestrator.app, or a token without it, would else be found out after the server is built."""
    if org:
        sandbox.fly.add_app(other, org)
    with pytest.raises((FlyNotFoundError, FlyForbiddenError)) as caught:
        engine().create(inputs(others=[other]))
    assert f'the stack changes app "{other}" as well' in str(caught.value)
    assert f'covers organization "{ORG}"' in str(caught.value)
    assert "orchestrator.app" in str(caught.value)
    assert {call["method"] for call in sandbox.journal("fly")} == {"GET"}


def test_apps_that_the_stack_reaches_are_looked_at_once_and_are_no_difference(sandbox: Sandbox) -> None:
    """They matter when the app is made and never again: no update, no output, no call in a refresh."""
    sandbox.fly.add_app("orchestrator", ORG)
    app = engine().create(inputs(others=["orchestrator"]))
    assert "others" not in app.outputs
    seen = len(sandbox.journal("fly"))
    assert app.refresh()
    assert app.up(inputs(others=["another"])) == "same"
    assert app.up(inputs(others=["another"], adopt_existing=True)) == "same"
    assert "others" not in app.outputs
    assert not [call for call in sandbox.journal("fly")[seen:] if "orchestrator" in call["path"]]


def test_a_deploy_token_of_the_app_is_enough_once_it_exists(sandbox: Sandbox) -> None:
    """The app made by hand, the token of that app alone: adopted, read and deleted."""
    client_of(sandbox).apps.create("shop", ORG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLY_API_TOKEN", f"FlyV1 {sandbox.fly.state.add_token(ORG, ['shop']).value}")
        app = engine().create(inputs())
        assert app.refresh()
        app.delete()
    assert "shop" not in sandbox.fly.state.apps


def test_another_world_is_refused_before_any_call(sandbox: Sandbox) -> None:
    """A real stack in a shell that points at the sandbox does nothing."""
    before = len(sandbox.journal())
    with pytest.raises(ValueError, match="endpoints: real"):
        engine().create(inputs(endpoints="real"))
    assert len(sandbox.journal()) == before
