"""What the providers of objects on a Prefect server do, against Prefect's API in memory."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from pulumi.output import Unknown

from clients.prefect_api.errors import PrefectApiForeignError, PrefectApiRefusedError
from providers.prefect_automation import AutomationProvider
from providers.prefect_concurrency_limit import ConcurrencyLimitProvider
from providers.prefect_notification_block import NotificationBlockProvider
from providers.prefect_object import PrefectObjectProvider
from providers.prefect_variable import VariableProvider
from providers.prefect_work_pool import WorkPoolProvider
from tests.support.fake_prefect import JSON, FakePrefect
from tests.support.prefect_objects import FAILED, INPUTS, KINDS, ROUTES, inputs, made
from tests.support.scripted_http import answer

UNKNOWN = Unknown()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_made_is_quiet_refreshed_or_not(server: FakePrefect, kind: type[PrefectObjectProvider]) -> None:
    """No diff after create, none after read, and one object on the server."""
    one = made(kind)
    assert one.up(inputs(kind)) == "same"
    assert one.refresh()
    assert one.up(inputs(kind)) == "same"
    assert len(server.objects[ROUTES[kind]]) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_gone_is_dropped_and_deleting_it_is_done(
    server: FakePrefect, kind: type[PrefectObjectProvider]
) -> None:
    """A 404 in Prefect's form; the next up makes it again."""
    one = made(kind)
    outputs = dict(one.outputs)
    server.objects[ROUTES[kind]].clear()
    assert not one.refresh()
    one.outputs = outputs
    one.delete()


@pytest.mark.parametrize("kind", KINDS)
def test_an_update_of_what_is_gone_makes_it_again(server: FakePrefect, kind: type[PrefectObjectProvider]) -> None:
    """The new id is in the outputs, which are what everything else goes by."""
    one = made(kind)
    before = one.outputs["object_id"]
    server.objects[ROUTES[kind]].clear()
    assert one.up(inputs(kind, credential="pulumi.2:pf_2")) == "update"
    assert one.outputs["object_id"] in server.objects[ROUTES[kind]]
    assert one.outputs["object_id"] != before


@pytest.mark.parametrize("kind", KINDS)
def test_creating_twice_leaves_one_object(server: FakePrefect, kind: type[PrefectObjectProvider]) -> None:
    """After an answer that was lost, or a state that was: our own is adopted."""
    assert made(kind).outputs["object_id"] == made(kind).outputs["object_id"]
    assert len(server.objects[ROUTES[kind]]) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_rotated_key_is_an_update_and_an_unknown_one_no_replacement(
    server: FakePrefect, kind: type[PrefectObjectProvider]
) -> None:
    """The state has to hold the key that is accepted now; the object stays the same."""
    one = made(kind)
    before = one.outputs["object_id"]
    shown = one.provider.diff(one.id, dict(one.outputs), inputs(kind, credential=UNKNOWN))
    assert (shown.changes, shown.replaces) == (True, [])
    assert one.up(inputs(kind, credential="pulumi.2:pf_2", api_url="https://q.test/api")) == "update"
    assert (one.outputs["credential"], one.outputs["api_url"]) == ("pulumi.2:pf_2", "https://q.test/api")
    assert one.outputs["object_id"] == before
    assert len(server.objects[ROUTES[kind]]) == 1


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (AutomationProvider, {"description": "made by hand"}),
        (VariableProvider, {"value": {"a": [1, None]}, "tags": ["mine"]}),
        (WorkPoolProvider, {"type": "process", "description": "mine"}),
        (ConcurrencyLimitProvider, {"limit": 3, "slot_decay_per_second": 0.5, "active": True}),
    ],
)
def test_what_somebody_else_made_is_refused_and_left(
    server: FakePrefect, kind: type[PrefectObjectProvider], content: dict[str, Any]
) -> None:
    """Of the same name without our mark; a limit, which has no place for one, when it is not just as stated."""
    theirs = server.put(ROUTES[kind], name=INPUTS[kind]["name"], **content)
    before = copy.deepcopy(theirs)
    with pytest.raises(PrefectApiForeignError, match=r"could not create .*: .*on the server already"):
        made(kind)
    assert server.objects[ROUTES[kind]] == {before["id"]: before}


@pytest.mark.parametrize(
    ("kind", "by_hand", "shown"),
    [
        (NotificationBlockProvider, {"data": {"url": "https://elsewhere"}}, "drifted"),
        (AutomationProvider, {"enabled": False}, "enabled"),
        (AutomationProvider, {"name": "renamed"}, "drifted"),
        (AutomationProvider, {"trigger": {**FAILED.trigger, "threshold": 5}}, "trigger"),
        (AutomationProvider, {"trigger": {"type": "compound", "triggers": []}}, "trigger"),
        (AutomationProvider, {"actions": []}, "block_id"),
        (AutomationProvider, {"actions_on_resolve": [{"type": "do-nothing"}]}, "others"),
        (VariableProvider, {"value": 7}, "value"),
        (WorkPoolProvider, {"concurrency_limit": 1}, "concurrency_limit"),
        (WorkPoolProvider, {"is_paused": True}, "is_paused"),
        (ConcurrencyLimitProvider, {"active": False}, "active"),
    ],
)
def test_what_was_changed_by_hand_is_drift_and_put_back(
    server: FakePrefect, kind: type[PrefectObjectProvider], by_hand: dict[str, Any], shown: str
) -> None:
    """Refresh shows it in the outputs, up writes what is stated, and then all is quiet."""
    one = made(kind)
    before = one.outputs.get(shown)
    server.objects[ROUTES[kind]][one.outputs["object_id"]].update(by_hand)
    assert one.up(inputs(kind)) == "same"
    assert one.refresh()
    assert one.outputs.get(shown) != before
    assert one.up(inputs(kind)) == "update"
    assert one.refresh()
    assert one.outputs.get(shown) == before


def test_what_the_server_adds_to_a_block_or_hides_is_no_drift(server: FakePrefect) -> None:
    """Defaults of its form, and values that this key may not see."""
    one = made(NotificationBlockProvider)
    kept = server.objects["block_documents"][one.outputs["object_id"]]
    kept["data"] = {**kept["data"], "notify_type": "info"}
    assert one.refresh()
    assert one.up(inputs(NotificationBlockProvider)) == "same"
    kept["data"] = {"url": "********"}
    assert one.refresh()
    assert one.up(inputs(NotificationBlockProvider)) == "same"


def test_no_value_of_a_block_is_in_its_outputs(server: FakePrefect) -> None:
    """Only a fingerprint with a salt of its own, another one for each write."""
    one = made(NotificationBlockProvider)
    assert "c4nary" not in repr(one.outputs)
    before = one.outputs["fingerprint"]
    assert one.up(inputs(NotificationBlockProvider, data={"url": "https://c4nary/2"})) == "update"
    assert one.outputs["fingerprint"] != before
    assert server.objects["block_documents"][one.outputs["object_id"]]["data"] == {"url": "https://c4nary/2"}


def test_a_block_that_is_not_known_yet_is_no_change_of_its_automations(server: FakePrefect) -> None:
    """Previews do not announce what up skips; a block made anew has another id, and up then writes it."""
    one = made(AutomationProvider)
    stated = inputs(AutomationProvider)
    assert one.provider.diff(one.id, dict(one.outputs), {**stated, "block_id": UNKNOWN}).changes is False
    assert one.up({**stated, "block_id": "id-10"}) == "update"
    kept = server.objects["automations"][one.outputs["object_id"]]
    assert kept["actions"][0]["block_document_id"] == "id-10"


def test_a_refused_request_is_told_by_place_and_reason_alone(server: FakePrefect) -> None:
    """Prefect repeats the whole request, with its secrets."""
    detail = [{"loc": ["body", "data", "url"], "msg": "not a URL", "input": "https://c4nary"}]
    body = {
        "exception_message": "Invalid request.",
        "exception_detail": detail,
        "request_body": {"url": "https://c4nary"},
    }
    server.fault = answer(422, body, JSON)
    with pytest.raises(PrefectApiRefusedError) as caught:
        made(NotificationBlockProvider)
    assert "data.url: not a URL (HTTP 422)" in str(caught.value)
    assert "c4nary" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        (AutomationProvider, "name", "another"),
        (NotificationBlockProvider, "type_slug", "discord-webhook"),
        (WorkPoolProvider, "pool_type", "docker"),
        (ConcurrencyLimitProvider, "scope", "tag"),
    ],
)
def test_what_the_api_cannot_change_is_another_object(
    server: FakePrefect, kind: type[PrefectObjectProvider], key: str, value: str
) -> None:
    """The old one goes first; an unknown value never replaces."""
    one = made(kind)
    assert one.diff(inputs(kind, **{key: value})).replaces == [key]
    assert one.provider.diff(one.id, dict(one.outputs), inputs(kind, **{key: UNKNOWN})).replaces == []
    assert server.sent


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_input_is_named_before_anything_is_made(kind: type[PrefectObjectProvider]) -> None:
    """Check touches no network."""
    failures = kind().check({}, {**inputs(kind), "owner": ""}).failures or []
    assert [failure.property for failure in failures] == ["owner"]
