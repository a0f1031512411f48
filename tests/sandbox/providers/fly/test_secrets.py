from __future__ import annotations

import base64
from typing import Any

import pytest

from clients.fly.errors import FlyForeignError, FlyUnprovenError
from clients.names import marker_of
from providers.fly_secrets import FlySecretsProvider
from sandbox.testing import Sandbox
from tests.support.dynamic_engine import EngineSide
from tests.support.fly_world import ORG, OWNER, STRANGER, client_of, delete_by_hand, write_by_hand

MARKER = marker_of(OWNER)
CANARY = "canary-5b7e-secret"


def inputs(values: dict[str, str] | None = None, **changes: Any) -> dict[str, Any]:
    given = {"A": "one", "B": CANARY} if values is None else values
    return {
        "app": "shop",
        "values": given,
        "owner": OWNER,
        "endpoints": "sandbox",
        "absent": ["C"],
        "take_over": False,
    } | changes


def engine() -> EngineSide:
    return EngineSide(FlySecretsProvider)


def live(sandbox: Sandbox) -> dict[str, str]:
    return {name: secret.value for name, secret in sandbox.fly.state.apps["shop"].secrets.items()}


def writes(sandbox: Sandbox) -> int:
    done = [call for call in sandbox.journal() if call["status"] == 200]
    return sum(1 for call in done if call["method"] == "POST" and call["path"].endswith("/secrets"))


@pytest.fixture(autouse=True)
def app(sandbox: Sandbox) -> None:
    client = client_of(sandbox)
    client.apps.create("shop", ORG)
    client.secrets.write("shop", {"STRANGER": "keep"})


def test_names_and_marker_are_written_in_one_call(sandbox: Sandbox) -> None:
    """One bulk POST sets them all, after one that asks for the version; strangers' stay; a second up does nothing."""
    before = writes(sandbox)
    secrets = engine().create(inputs())
    assert writes(sandbox) == before + 2
    assert live(sandbox) == {"A": "one", "B": CANARY, MARKER: "1", "STRANGER": "keep"}
    assert secrets.outputs["names"] == ["A", "B"]
    assert secrets.outputs["version"] == sandbox.fly.state.apps["shop"].secrets_version
    assert secrets.refresh()
    assert secrets.up(inputs()) == "same"
    assert writes(sandbox) == before + 2


def test_no_value_is_in_the_outputs(sandbox: Sandbox) -> None:
    """Neither plain nor in base64, before and after a refresh and an update."""
    secrets = engine().create(inputs())
    seen = repr(secrets.outputs)
    secrets.refresh()
    seen += repr(secrets.outputs)
    secrets.up(inputs({"A": CANARY}))
    seen += repr(secrets.outputs)
    assert CANARY not in seen
    assert base64.b64encode(CANARY.encode()).decode() not in seen


def test_the_same_value_has_another_fingerprint_in_every_stack(sandbox: Sandbox) -> None:
    """The salt keeps two stacks' states from being compared."""
    first = engine().create(inputs())
    second = engine().create(inputs())
    assert first.outputs["fingerprints"] != second.outputs["fingerprints"]


def test_a_changed_value_is_written_alone(sandbox: Sandbox) -> None:
    """Only the changed and removed names are in the call, and the overall fingerprint changes."""
    secrets = engine().create(inputs())
    before, times = secrets.outputs, {name: s.updated_at for name, s in sandbox.fly.state.apps["shop"].secrets.items()}
    assert secrets.up(inputs({"A": "two", "NEW": "three"})) == "update"
    assert live(sandbox) == {"A": "two", "NEW": "three", MARKER: "1", "STRANGER": "keep"}
    assert secrets.outputs["fingerprint"] != before["fingerprint"]
    assert secrets.outputs["version"] > before["version"]
    assert secrets.outputs["salt"] == before["salt"]
    assert sandbox.fly.state.apps["shop"].secrets[MARKER].updated_at == times[MARKER]
    assert secrets.refresh()
    assert secrets.up(inputs({"A": "two", "NEW": "three"})) == "same"


def test_a_name_that_somebody_else_set_is_refused_or_taken_over(sandbox: Sandbox) -> None:
    """The sentence names it and the setting; with the setting it is ours."""
    write_by_hand(sandbox, "shop", {"A": "somebody's"})
    with pytest.raises(FlyForeignError, match=r"A is set there already.*takeOver: true"):
        engine().create(inputs())
    assert live(sandbox) == {"A": "somebody's", "STRANGER": "keep"}
    engine().create(inputs(take_over=True))
    assert live(sandbox)["A"] == "one"


def test_an_update_that_writes_nothing_restarts_nobody(sandbox: Sandbox) -> None:
    """TakeOver set back is no change; one more absent name keeps the fingerprint, on which machines hang."""
    secrets = engine().create(inputs(take_over=True))
    before, done = dict(secrets.outputs), writes(sandbox)
    assert secrets.up(inputs()) == "same"
    assert secrets.up(inputs(absent=["C", "D"])) == "update"
    assert writes(sandbox) == done
    assert secrets.outputs == before | {"absent": ["C", "D"]}


def test_a_name_that_must_be_absent_is_somebody_s_too(sandbox: Sandbox) -> None:
    """It is not removed without the setting, and removed with it."""
    write_by_hand(sandbox, "shop", {"C": "somebody's"})
    with pytest.raises(FlyForeignError, match="C is set there already"):
        engine().create(inputs())
    engine().create(inputs(take_over=True))
    assert "C" not in live(sandbox)


def test_a_name_added_later_is_refused_when_somebody_else_has_it(sandbox: Sandbox) -> None:
    """Our marker covers what we wrote, not what we write next."""
    secrets = engine().create(inputs())
    with pytest.raises(FlyForeignError, match="STRANGER is set there already"):
        secrets.up(inputs({"A": "one", "STRANGER": "mine"}))
    assert live(sandbox)["STRANGER"] == "keep"


def test_an_interrupted_create_goes_through_the_second_time(sandbox: Sandbox) -> None:
    """With our marker there, the names are ours."""
    sandbox.faults("fly").add("POST", "/secrets$", drop_answer=True)
    secrets = engine().create(inputs())
    assert live(sandbox)["A"] == "one"
    again = engine().create(inputs())
    assert again.outputs["names"] == secrets.outputs["names"]


def test_secrets_taken_over_as_they_were_ask_for_no_restart(sandbox: Sandbox) -> None:
    """Version 0 means that machines have them already."""
    engine().create(inputs())
    assert engine().create(inputs()).outputs["version"] == 0


@pytest.mark.parametrize(
    ("change", "drifted"),
    [
        ({"A": "by hand"}, ["A: changed"]),
        ({"A": None}, ["A: removed"]),
        ({MARKER: None}, [f"{MARKER}: removed"]),
        ({"C": "by hand"}, ["C: set"]),
    ],
)
def test_drift_is_named_and_fixed(sandbox: Sandbox, change: dict[str, str | None], drifted: list[str]) -> None:
    """Changed, removed and reappeared names show after a refresh, and only those."""
    secrets = engine().create(inputs())
    write_by_hand(sandbox, "shop", change)
    assert secrets.refresh()
    assert secrets.refresh()
    assert secrets.outputs["drifted"] == drifted
    assert CANARY not in repr(secrets.outputs)
    before = secrets.outputs["fingerprint"]
    assert secrets.up(inputs()) == "update"
    assert live(sandbox) == {"A": "one", "B": CANARY, MARKER: "1", "STRANGER": "keep"}
    assert secrets.outputs["fingerprint"] != before
    assert secrets.refresh()
    assert secrets.up(inputs()) == "same"


def test_a_stranger_s_secret_is_no_drift(sandbox: Sandbox) -> None:
    """The app-wide version moves on; the one of our last write, and the outputs, do not."""
    secrets = engine().create(inputs())
    before = dict(secrets.outputs)
    write_by_hand(sandbox, "shop", {"STRANGER": "changed", "SECOND": "new"})
    assert secrets.refresh()
    assert secrets.outputs == before
    assert secrets.up(inputs()) == "same"


def test_everything_of_ours_gone_is_gone(sandbox: Sandbox) -> None:
    """Names and marker removed by hand: refresh drops the set, create makes it again."""
    secrets = engine().create(inputs())
    write_by_hand(sandbox, "shop", {"A": None, "B": None, MARKER: None})
    assert not secrets.refresh()


def test_delete_removes_exactly_ours(sandbox: Sandbox) -> None:
    """Names and marker go, in one call, also when some are gone already; the rest stays; twice is fine."""
    secrets = engine().create(inputs())
    write_by_hand(sandbox, "shop", {"A": None, "C": "by hand"})
    again = EngineSide(FlySecretsProvider, id="shop", outputs=secrets.outputs)
    before = writes(sandbox)
    secrets.delete()
    assert writes(sandbox) == before + 1
    assert live(sandbox) == {"C": "by hand", "STRANGER": "keep"}
    again.delete()


def test_delete_of_an_app_that_is_gone_needs_the_right_token(sandbox: Sandbox) -> None:
    """Gone is proved or it raises."""
    secrets = engine().create(inputs())
    delete_by_hand(sandbox, "shop")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLY_API_TOKEN", sandbox.fly.state.add_token("somebody-else").value)
        with pytest.raises(FlyUnprovenError):
            secrets.delete()
    secrets.delete()


def test_a_replacement_leaves_the_set_written(sandbox: Sandbox) -> None:
    """`up --replace`: deleted first, written afterwards."""
    secrets = engine().create(inputs())
    secrets.delete()
    secrets.create(inputs())
    assert live(sandbox) == {"A": "one", "B": CANARY, MARKER: "1", "STRANGER": "keep"}


def test_another_owner_moves_the_marker(sandbox: Sandbox) -> None:
    """A renamed stack keeps its secrets and leaves no mark of the old name."""
    secrets = engine().create(inputs())
    assert secrets.up(inputs(owner=STRANGER)) == "update"
    assert marker_of(STRANGER) in live(sandbox)
    assert MARKER not in live(sandbox)


def test_a_write_that_loses_against_another_is_repeated(sandbox: Sandbox) -> None:
    """409 on concurrent bulk updates had no effect, so it goes again."""
    fault = sandbox.faults("fly").add("POST", "/secrets$", times=2, status=409, body={"error": "conflict"})
    engine().create(inputs())
    assert fault.hits == 2
    assert live(sandbox)["A"] == "one"


def test_a_set_made_anew_at_once_is_written_whole(sandbox: Sandbox) -> None:
    """A list may still show for 2 seconds what was just deleted; names and marker are there again all the same."""
    secrets = engine().create(inputs())
    secrets.delete()
    again = engine().create(inputs())
    assert live(sandbox) == {"A": "one", "B": CANARY, MARKER: "1", "STRANGER": "keep"}
    assert again.refresh()
    assert again.outputs["drifted"] == []
