"""The Better Stack client and the monitor's provider against the emulated API, over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from clients.better_stack import (
    BetterStackClient,
    BetterStackNotFoundError,
    BetterStackRefusedError,
    BetterStackUnauthorizedError,
    BetterStackUnclearError,
)
from clients.endpoints import World, WrongWorldError
from clients.transport import no_progress
from providers.better_stack_monitor import MonitorProvider
from sandbox.testing import Sandbox, running_sandbox

URL = "http://127.0.0.1:9/api/ready"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path_factory.mktemp("sandbox"), filled=False) as running:
        yield running


@pytest.fixture
def sandbox(shared: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    shared.reset()
    shared.faults("betterstack").clear()
    for name, value in shared.env().items():
        monkeypatch.setenv(name, value)
    return shared


@pytest.fixture
def client(sandbox: Sandbox) -> BetterStackClient:
    return BetterStackClient.from_environment(World.SANDBOX, sandbox.env(), progress=no_progress)


def inputs(**changes: Any) -> dict[str, Any]:
    """Return a monitor's inputs as the engine hands them over: numbers are floats."""
    return {
        "endpoints": "sandbox",
        "url": URL,
        "name": "Prefect",
        "check_frequency": 180.0,
        "regions": ["us", "eu"],
        "request_timeout": 15.0,
        **changes,
    }


def live(sandbox: Sandbox) -> list[dict[str, Any]]:
    return [monitor.attributes for monitor in sandbox.better_stack.monitors.values()]


def test_monitors_are_found_by_their_exact_url_over_all_pages(client: BetterStackClient) -> None:
    """The list's filter and pages are followed, and only exact matches are returned."""
    made = client.create({"url": URL, "monitor_type": "status", "pronounceable_name": "a"})
    client.create({"url": URL + "/other", "monitor_type": "status", "pronounceable_name": "b"})
    assert [monitor.id for monitor in client.find(URL)] == [made.id]
    assert client.get(made.id).url == URL


def test_refusals_are_typed(sandbox: Sandbox, client: BetterStackClient) -> None:
    """A wrong token, an absent monitor and a refused attribute are different errors with the API's words."""
    with pytest.raises(BetterStackNotFoundError, match=r'could not read monitor "1".*HTTP 404'):
        client.get("1")
    with pytest.raises(BetterStackRefusedError, match=r"could not create monitor .*HTTP 422"):
        client.create({"url": URL, "monitor_type": "status", "check_frequency": "often"})
    wrong = BetterStackClient.from_environment(World.SANDBOX, sandbox.env() | {"BETTERSTACK_API_TOKEN": "x"})
    with pytest.raises(BetterStackUnauthorizedError, match="Set BETTERSTACK_API_TOKEN"):
        wrong.check_token()


def test_a_lost_answer_to_a_create_is_unclear(sandbox: Sandbox, client: BetterStackClient) -> None:
    """A create is never repeated by itself: it may exist now."""
    sandbox.faults("betterstack").add("POST", "/monitors", drop_answer=True)
    with pytest.raises(BetterStackUnclearError):
        client.create({"url": URL, "monitor_type": "status"})
    assert len(live(sandbox)) == 1


def test_create_makes_what_was_asked_for(sandbox: Sandbox) -> None:
    """One monitor with GET, the interval in whole seconds, and its id in the outputs."""
    made = MonitorProvider().create(inputs())
    (attributes,) = live(sandbox)
    assert (attributes["check_frequency"], attributes["http_method"], attributes["regions"]) == (
        180,
        "get",
        ["us", "eu"],
    )
    assert made.outs is not None
    assert made.outs["monitor_id"] == made.id


def test_create_adopts_the_monitor_of_the_url(sandbox: Sandbox, client: BetterStackClient) -> None:
    """A monitor of this URL that exists is brought to the stated settings; there is never a second one."""
    existing = client.create({"url": URL, "monitor_type": "status", "check_frequency": 60})
    assert MonitorProvider().create(inputs()).id == existing.id
    assert [attributes["check_frequency"] for attributes in live(sandbox)] == [180]


def test_a_create_whose_answer_is_lost_leaves_one_monitor(sandbox: Sandbox) -> None:
    """The monitor that a lost answer hid is found again and kept."""
    sandbox.faults("betterstack").add("POST", "/monitors", drop_answer=True)
    made = MonitorProvider().create(inputs())
    assert list(sandbox.better_stack.monitors) == [made.id]


def test_a_changed_setting_is_patched_in_place(sandbox: Sandbox) -> None:
    """An update keeps the id and sends what differs; all outputs come back."""
    provider = MonitorProvider()
    made = provider.create(inputs())
    olds, news = made.outs or {}, inputs(check_frequency=60.0, name="Prefect of prod")
    difference = provider.diff(made.id, olds, news)
    assert (difference.changes, difference.replaces) == (True, [])
    outs = provider.update(made.id, olds, news).outs or {}
    assert (outs["check_frequency"], outs["name"], outs["monitor_id"]) == (60, "Prefect of prod", made.id)
    assert [attributes["check_frequency"] for attributes in live(sandbox)] == [60]
    assert not provider.diff(made.id, outs, news).changes


def test_drift_shows_and_what_is_not_ours_does_not(sandbox: Sandbox, client: BetterStackClient) -> None:
    """After a change by hand read reports the new value and diff wants it back; defaults and order are no drift."""
    provider = MonitorProvider()
    made = provider.create(inputs())
    client.update(made.id, {"regions": ["eu", "us"], "recovery_period": 60})
    calm = provider.read(made.id, made.outs or {})
    assert not provider.diff(made.id, calm.outs or {}, inputs()).changes
    client.update(made.id, {"check_frequency": 30})
    seen = provider.read(made.id, made.outs or {})
    assert (seen.inputs or {})["check_frequency"] == 30
    assert provider.diff(made.id, seen.outs or {}, inputs()).changes


@pytest.mark.parametrize(
    ("attribute", "by_hand", "ours"),
    [("paused", True, False), ("monitor_type", "ping", "status"), ("http_method", "head", "get")],
)
def test_what_no_setting_changes_is_put_right_too(
    sandbox: Sandbox, client: BetterStackClient, attribute: str, by_hand: object, ours: object
) -> None:
    """Paused, retyped or asked with another method by hand: read names it, diff wants it back, update undoes it."""
    provider = MonitorProvider()
    made = provider.create(inputs())
    client.update(made.id, {attribute: by_hand, "recovery_period": 60})
    seen = provider.read(made.id, made.outs or {})
    assert (seen.inputs or {})[attribute] == by_hand
    assert provider.diff(made.id, seen.outs or {}, inputs()).changes
    fixed = provider.update(made.id, seen.outs or {}, inputs()).outs or {}
    assert live(sandbox)[0][attribute] == ours
    assert not provider.diff(made.id, fixed, inputs()).changes
    assert live(sandbox)[0]["recovery_period"] == 60


def test_adopting_a_paused_monitor_resumes_it(sandbox: Sandbox, client: BetterStackClient) -> None:
    """A monitor of this URL that somebody paused watches again, with GET and as an HTTP check."""
    client.create({"url": URL, "monitor_type": "ping", "http_method": "head", "paused": True})
    MonitorProvider().create(inputs())
    (attributes,) = live(sandbox)
    assert (attributes["paused"], attributes["monitor_type"], attributes["http_method"]) == (False, "status", "get")


def test_gone_is_believed_only_with_a_good_token(
    sandbox: Sandbox, client: BetterStackClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deleted monitor is dropped by read and done for delete; with a dead token both raise instead."""
    provider = MonitorProvider()
    made = provider.create(inputs())
    client.delete(made.id)
    provider.delete(made.id, made.outs or {})
    assert provider.read(made.id, made.outs or {}).id is None
    monkeypatch.setenv("BETTERSTACK_API_TOKEN", "revoked")
    with pytest.raises(BetterStackUnauthorizedError):
        provider.read(made.id, made.outs or {})
    with pytest.raises(BetterStackUnauthorizedError):
        provider.delete(made.id, made.outs or {})


def test_delete_removes_it(sandbox: Sandbox) -> None:
    """After delete nothing is left, and deleting again is done."""
    provider = MonitorProvider()
    made = provider.create(inputs())
    provider.delete(made.id, made.outs or {})
    provider.delete(made.id, made.outs or {})
    assert live(sandbox) == []


def test_the_other_world_is_refused(sandbox: Sandbox) -> None:
    """A stack of the real world never talks to the sandbox that the shell points at."""
    with pytest.raises(WrongWorldError):
        MonitorProvider().create(inputs(endpoints="real"))
    assert live(sandbox) == []
