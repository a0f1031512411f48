from __future__ import annotations

import pytest

from clients.endpoints import World, WrongWorldError
from clients.fly import FlyClient
from clients.fly.errors import FlyNotFoundError, FlyUnauthorizedError, FlyUnprovenError
from clients.fly.operations.ownership import prove_gone
from clients.fly.tokens import Coverage, authorization, registry_password
from tests.support.scripted_http import ScriptedSession, answer


@pytest.mark.parametrize(
    ("given", "header"),
    [
        ("fm2_abc", "FlyV1 fm2_abc"),
        ("FlyV1 fm2_abc", "FlyV1 fm2_abc"),
        ("Bearer fm2_abc", "FlyV1 fm2_abc"),
        ("FlyV1 FlyV1 fm2_abc", "FlyV1 fm2_abc"),
        ("bearer  fm1r_abc\n", "FlyV1 fm1r_abc"),
        ("fm1a_x", "FlyV1 fm1a_x"),
        ("FlyV1 fm2_a,fm2_b", "FlyV1 fm2_a,fm2_b"),
        ("FlyV1 fm2_a, FlyV1 fm2_b", "FlyV1 fm2_a,fm2_b"),
        ("fm2_a\nfm2_b\n", "FlyV1 fm2_a,fm2_b"),
        ("an-old-token", "Bearer an-old-token"),
        ("Bearer an-old-token", "Bearer an-old-token"),
        ("fma_not_a_macaroon", "Bearer fma_not_a_macaroon"),
    ],
)
def test_every_spelling_of_a_token_becomes_the_scheme_that_fly_wants(given: str, header: str) -> None:
    """Macaroons go out as FlyV1, everything else as Bearer, whatever the person pasted."""
    assert authorization(given) == header
    assert registry_password(given) == header.split(" ", 1)[1]


def test_an_organization_token_covers_every_app_and_a_deploy_token_its_own() -> None:
    """Only a token that reaches the app can prove that something of it is gone."""
    assert Coverage(org="acme").covers("acme", "shop")
    assert not Coverage(org="acme").covers("other", "shop")
    assert Coverage(org="acme", apps=("shop",)).covers("acme", "shop")
    assert not Coverage(org="acme", apps=("blog",)).covers("acme", "shop")


@pytest.mark.parametrize("spelled", ["shop", "4711", 4711, {"id": 4711}, {"id": "4711", "name": "shop"}])
def test_a_deploy_token_may_name_its_app_by_id(spelled: object) -> None:
    """The API's description does not say which it is, so a 404 is believed for both."""
    body = {"tokens": [{"org_slug": "acme", "apps": [spelled]}]}
    client = FlyClient(
        "http://127.0.0.1:1",
        "http://127.0.0.1:1",
        "fm2_x",
        session=ScriptedSession(answer(200, body), answer(200, body)),
    )
    assert client.tokens.covers("acme", "shop", "4711")
    assert not client.tokens.covers("acme", "blog", "4712")


def test_the_id_of_an_app_that_answers_is_looked_up() -> None:
    """A machine of it that is gone is proved gone, also when nobody recorded the app's id."""
    shop = {"id": "4711", "name": "shop", "organization": {"slug": "acme"}}
    tokens = {"tokens": [{"org_slug": "acme", "apps": ["4711"]}]}
    missing = FlyNotFoundError('read machine "m"', "not found", status=404)
    session = ScriptedSession(answer(200, tokens), answer(200, shop), answer(200, tokens))
    client = FlyClient("http://127.0.0.1:1", "http://127.0.0.1:1", "fm2_x", session=session)
    prove_gone(client, "acme", "shop", missing)
    session.script += [answer(200, tokens), answer(404, {"error": "not found"}), answer(200, tokens)]
    with pytest.raises(FlyUnprovenError, match="it may still be there"):
        prove_gone(client, "acme", "shop", missing)


def test_a_missing_token_is_one_sentence_before_any_call() -> None:
    """FLY_API_TOKEN unset, or only a scheme, is said at once."""
    for token in ("", "FlyV1 ", " \n"):
        environ = {
            "FLY_FLAPS_BASE_URL": "http://127.0.0.1:1",
            "FLY_API_BASE_URL": "http://127.0.0.1:1",
            "FLY_API_TOKEN": token,
        }
        with pytest.raises(
            FlyUnauthorizedError, match=r"could not use the Fly Machines API: FLY_API_TOKEN (is not|holds)"
        ):
            FlyClient.from_environment(World.SANDBOX, environ)


def test_a_client_of_one_world_refuses_the_addresses_of_the_other() -> None:
    """A shell variable cannot point a sandbox stack at Fly, nor a real one at the sandbox."""
    with pytest.raises(WrongWorldError):
        FlyClient.from_environment(
            World.SANDBOX, {"FLY_API_TOKEN": "x", "FLY_FLAPS_BASE_URL": "https://api.machines.dev"}
        )
    with pytest.raises(WrongWorldError):
        FlyClient.from_environment(World.REAL, {"FLY_API_TOKEN": "x", "FLY_FLAPS_BASE_URL": "http://127.0.0.1:4280"})
