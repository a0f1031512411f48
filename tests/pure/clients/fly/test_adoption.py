"""Making an app ours and giving it up, call by call: every sentence whole, and when something is asked again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
import requests

from clients.fly import FlyClient
from clients.fly.errors import (
    FlyForbiddenError,
    FlyForeignError,
    FlyNameTakenError,
    FlyNotFoundError,
    FlyTransientError,
    FlyUnprovenError,
)
from clients.fly.operations.adoption import claim_app, delete_app
from clients.fly.operations.ownership import prove_gone
from tests.support.scripted_http import FakeClock, ScriptedSession, answer

OURS = "0123456789ab"
SHOP = {"id": "4711", "name": "shop", "organization": {"slug": "acme"}, "status": "deployed"}
MISSING = answer(404, {"error": "not found"}, {"Fly-Request-Id": "r-404"})
FORBIDDEN = answer(403, {"error": "forbidden"}, {"Fly-Request-Id": "r-403"})
UNCLEAR = answer(502, {"error": "bad gateway"})
TAKEN = answer(422, {"error": "Name has already been taken", "status": "name_taken"})
CREATED = answer(201, {})
NO_MACHINES = answer(200, [])


def tokens(*parts: Mapping[str, object]) -> requests.Response:
    return answer(200, {"tokens": list(parts)})


WHOLE = {"org_slug": "acme", "apps": None}
ONE_APP = {"org_slug": "acme", "apps": ["blog"]}


@dataclass
class Fly:
    """A client whose answers are written down, and what it told people."""

    session: ScriptedSession
    said: list[str] = field(default_factory=list)

    @property
    def client(self) -> FlyClient:
        """A new one, on a clock that only sleeping moves."""
        return FlyClient(
            "http://127.0.0.1:1",
            "http://127.0.0.1:1",
            "fm2_x",
            session=self.session,
            timing=FakeClock().timing(),
            progress=self.said.append,
        )

    def calls(self) -> list[str]:
        """What was asked so far."""
        return [f"{sent.method} {sent.url.partition('/v1/')[2]}" for sent in self.session.sent]


def fly(*script: requests.Response | Exception) -> Fly:
    return Fly(ScriptedSession(*script))


def shop() -> requests.Response:
    return answer(200, SHOP)


def machine(number: int, owner: str) -> dict[str, object]:
    metadata = {"prefect_fly_owner": owner, "fly_process_group": "app"}
    return {"id": f"m{number}", "name": f"shop-{number}", "state": "started", "config": {"metadata": metadata}}


def test_a_new_app_is_looked_for_made_and_waited_for() -> None:
    """In this order, and nothing is asked twice."""
    world = fly(MISSING, tokens(WHOLE), CREATED, shop(), NO_MACHINES)
    assert claim_app(world.client, "shop", org="acme", owner=OURS, adopt=False).id == "4711"
    assert world.calls() == [
        "GET apps/shop",
        "GET tokens/current",
        "POST apps",
        "GET apps/shop",
        "GET apps/shop/machines",
    ]
    assert world.said == []


def test_a_lost_answer_is_looked_for_and_the_create_repeated() -> None:
    """Nothing was made: the second attempt makes it, and people are told."""
    world = fly(MISSING, tokens(WHOLE), UNCLEAR, MISSING, CREATED, shop(), NO_MACHINES)
    claim_app(world.client, "shop", org="acme", owner=OURS, adopt=False)
    assert world.calls().count("POST apps") == 2
    assert world.said == ['app "shop" was not created (bad gateway); trying again']


def test_an_app_that_a_lost_answer_left_is_judged_like_a_foreign_one() -> None:
    """It was made by this attempt or by somebody meanwhile: its machines say whose it is."""
    others = answer(200, [machine(1, "ba9876543210"), machine(2, "")])
    world = fly(MISSING, tokens(WHOLE), UNCLEAR, shop(), shop(), NO_MACHINES, others)
    with pytest.raises(FlyForeignError):
        claim_app(world.client, "shop", org="acme", owner=OURS, adopt=False)
    assert world.calls().count("POST apps") == 1


def test_a_name_that_the_first_attempt_took_is_no_error() -> None:
    """The second attempt is told that the name is taken before the app can be seen: it was the first one."""
    world = fly(MISSING, tokens(WHOLE), UNCLEAR, MISSING, TAKEN, shop(), NO_MACHINES, NO_MACHINES)
    assert claim_app(world.client, "shop", org="acme", owner=OURS, adopt=False).name == "shop"
    # The last call looks at its machines, as for every app that was not made here.
    assert world.calls()[-2:] == ["GET apps/shop/machines", "GET apps/shop/machines"]


def test_a_name_that_is_taken_at_first_is_somebody_elses_and_not_tried_again() -> None:
    """Asked for once; the answer decides."""
    world = fly(MISSING, tokens(WHOLE), TAKEN, MISSING)
    with pytest.raises(FlyNameTakenError):
        claim_app(world.client, "shop", org="acme", owner=OURS, adopt=False)
    assert world.calls().count("POST apps") == 1


def test_an_api_that_stays_down_ends_after_three_attempts() -> None:
    """The error is the API's own."""
    world = fly(MISSING, tokens(WHOLE), UNCLEAR, MISSING, UNCLEAR, MISSING, UNCLEAR, MISSING)
    with pytest.raises(FlyTransientError):
        claim_app(world.client, "shop", org="acme", owner=OURS, adopt=False)


@pytest.mark.parametrize(
    ("parts", "covered"),
    [((), "nothing"), ((ONE_APP, ONE_APP), " and ".join(['organization "acme" (only blog)'] * 2))],
)
def test_a_token_that_cannot_make_it_is_said_before_anything_is_made(
    parts: tuple[Mapping[str, object], ...], covered: str
) -> None:
    """What it covers, and what to do: the whole sentence."""
    world = fly(MISSING, tokens(*parts))
    with pytest.raises(FlyForbiddenError) as raised:
        claim_app(world.client, "shop", org="acme", owner=OURS, adopt=False)
    assert str(raised.value) == (
        f'could not create app "shop": FLY_API_TOKEN covers {covered}, and not organization "acme" as a whole. '
        'Use an organization token ("fly tokens create org -o acme"), or make the app by hand first.'
    )
    assert "POST apps" not in world.calls()


@pytest.mark.parametrize(
    ("parts", "covered"), [((), "nothing"), ((WHOLE, WHOLE), 'organization "acme" and organization "acme"')]
)
def test_an_app_that_the_stack_changes_as_well_must_be_there(
    parts: tuple[Mapping[str, object], ...], covered: str
) -> None:
    """A misspelled orchestrator is found out first: the whole sentence, with the API's status and request id."""
    world = fly(shop(), MISSING, tokens(*parts))
    with pytest.raises(FlyNotFoundError) as raised:
        claim_app(world.client, "shop", org="acme", owner=OURS, adopt=False, others=["orchestra"])
    assert str(raised.value) == (
        'could not create app "shop": the stack changes app "orchestra" as well, which the API does not show: '
        f"FLY_API_TOKEN covers {covered} (HTTP 404, request id r-404). Correct its name (orchestrator.app), or use a "
        "token that reaches it too: several are joined by commas."
    )
    assert raised.value.status == 404


def test_an_app_of_another_organization_of_ours_is_refused() -> None:
    """The whole sentence names both ways out."""
    world = fly(shop())
    with pytest.raises(FlyForeignError) as raised:
        claim_app(world.client, "shop", org="other", owner=OURS, adopt=True)
    assert str(raised.value) == (
        'could not create app "shop": the name is taken by your organization "acme". '
        'Choose another name (fly.app), or set fly.org to "acme".'
    )


FOREIGN = answer(200, [machine(1, OURS), machine(2, ""), machine(3, "ba9876543210")])


def test_machines_of_others_are_named_before_an_app_is_taken() -> None:
    """Ours are not among them."""
    world = fly(shop(), FOREIGN)
    with pytest.raises(FlyForeignError) as raised:
        claim_app(world.client, "shop", org="acme", owner=OURS, adopt=False)
    assert str(raised.value) == (
        'could not create app "shop": it exists and holds machines that this stack did not make (m2, m3). '
        "Set fly.adoptExisting: true to take it over, or choose another name (fly.app)."
    )


def test_machines_of_others_are_named_before_an_app_is_deleted() -> None:
    """Fly would delete them along with it: nothing is deleted."""
    world = fly(FOREIGN)
    with pytest.raises(FlyForeignError) as raised:
        delete_app(world.client, "shop", owner=OURS)
    assert str(raised.value) == (
        'could not delete app "shop": it holds machines that this stack did not make (m2, m3). '
        "Remove them (fly machine destroy) and run pulumi destroy again."
    )
    assert world.calls() == ["GET apps/shop/machines"]


def gone(world: Fly, *, org: str = "acme", app_id: str = "") -> None:
    missing = FlyNotFoundError('read app "shop"', "not found", status=404, request_id="r-1")
    prove_gone(world.client, org, "shop", missing, app_id)


@pytest.mark.parametrize(("org", "named"), [("acme", "acme"), ("", "unknown")])
def test_an_unproved_404_says_what_was_asked_and_what_the_api_said(org: str, named: str) -> None:
    """The whole sentence; without an organization on record no token proves anything, whatever it covers."""
    world = fly(tokens({"org_slug": "other"}, {"apps": ["shop"]}))
    with pytest.raises(FlyUnprovenError) as raised:
        gone(world, org=org)
    assert str(raised.value) == (
        'could not read app "shop": the API does not show it, but FLY_API_TOKEN does not cover app "shop" of '
        f'organization "{named}", so it may still be there (HTTP 404, request id r-1). Use a FLY_API_TOKEN of the '
        "organization that owns it, so that gone can be told from hidden."
    )
    assert len(world.session.sent) == (1 if org else 0)


def test_an_id_on_record_is_enough_and_nothing_is_looked_up() -> None:
    """A deploy token that names the app by the id of when it was made; one that names another id proves nothing."""
    world = fly(tokens({"org_slug": "acme", "apps": ["4711"]}))
    gone(world, app_id="4711")
    assert world.calls() == ["GET tokens/current"]
    world = fly(tokens({"org_slug": "acme", "apps": ["4712"]}))
    with pytest.raises(FlyUnprovenError):
        gone(world, app_id="4711")
    assert world.calls() == ["GET tokens/current"]


@pytest.mark.parametrize("hidden", [MISSING, FORBIDDEN])
def test_an_app_that_does_not_answer_has_no_id_that_proves_anything(hidden: requests.Response) -> None:
    """Whatever ids the token names."""
    limited = tokens({"org_slug": "acme", "apps": ["4711", "XXXX"]})
    with pytest.raises(FlyUnprovenError):
        gone(fly(limited, hidden, limited))
