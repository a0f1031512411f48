from __future__ import annotations

import base64
from typing import Any

import pytest

from clients.fly.errors import (
    FlyCapacityError,
    FlyForeignError,
    FlyHostError,
    FlyImageMissingError,
    FlyMachineLimitError,
    FlyNotFoundError,
    FlyPaymentError,
    FlyRefusedError,
    FlyUnhealthyError,
    FlyUnprovenError,
)
from clients.fly.model import MachineRequest
from providers.fly_machine import FlyMachineProvider
from sandbox.fly.models import Machine
from sandbox.testing import Sandbox
from tests.support.dynamic_engine import EngineSide
from tests.support.fly_world import IMAGE, ORG, OTHER_IMAGE, OWNER, STRANGER, client_of, config, later, until

UNCLEAR = [{"drop_answer": True}, {"reset": True}, {"status": 503, "body": "no JSON"}, {"status": 408}]


def inputs(**changes: Any) -> dict[str, Any]:
    return {
        "app": "shop",
        "name": "shop-ewr-1",
        "region": "ewr",
        "config": config(),
        "owner": OWNER,
        "endpoints": "sandbox",
        "min_secrets_version": 0,
        "secrets_fingerprint": "f1",
        "healthy_timeout": 60,
        "adopt": False,
    } | changes


def engine() -> EngineSide:
    return EngineSide(FlyMachineProvider)


def machines(sandbox: Sandbox) -> list[Machine]:
    return sandbox.fly.state.apps["shop"].live_machines


def by_hand(sandbox: Sandbox, name: str = "by-hand", metadata: dict[str, str] | None = None, **changes: Any) -> str:
    """Make a machine as another tool would, and return its id."""
    marks = {"fly_platform_version": "v2", "fly_process_group": "app"} if metadata is None else metadata
    request = MachineRequest(name=name, region="ewr", config=config(metadata=marks, **changes))
    client = client_of(sandbox)
    machine = client.machines.create("shop", request)
    assert client.machines.wait("shop", machine, "started", seconds=10)
    return machine.id


def update_by_hand(sandbox: Sandbox, machine_id: str, **changes: Any) -> None:
    """Change a machine's config as another tool would: read, change, post."""
    client = client_of(sandbox)
    machine = client.machines.get("shop", machine_id)
    request = MachineRequest(name=machine.name, region=machine.region, config=machine.config | changes)
    updated = client.machines.update("shop", machine, request)
    assert client.machines.wait("shop", updated, "started", version=updated.instance_id, seconds=10)


@pytest.fixture(autouse=True)
def app(sandbox: Sandbox) -> None:
    client_of(sandbox).apps.create("shop", ORG)


def test_a_machine_is_made_healthy_and_a_second_up_changes_nothing(sandbox: Sandbox) -> None:
    """It has the marks of flyctl and ours; normalised values and filled-in defaults are no drift after a refresh."""
    machine = engine().create(inputs())
    (made,) = machines(sandbox)
    assert (made.name, made.region, made.state) == ("shop-ewr-1", "ewr", "started")
    assert made.config["metadata"] == {
        "fly_platform_version": "v2",
        "fly_process_group": "app",
        "prefect_fly_owner": OWNER,
        "prefect_fly_name": "shop-ewr-1",
    }
    assert machine.outputs["machine_id"] == made.id
    assert machine.outputs["image_digest"] == f"sha256:{'a' * 64}"
    assert machine.up(inputs()) == "same"
    before = dict(machine.outputs)
    assert machine.refresh()
    assert machine.outputs == before
    assert machine.up(inputs()) == "same"


def test_create_waits_for_checks_that_take_their_time(sandbox: Sandbox) -> None:
    """An empty list of checks and a critical one are not passing."""
    script = sandbox.emulated.script(app="shop", passing=False)
    waiting = later(1.0, lambda: setattr(script, "passing", True))
    engine().create(inputs())
    waiting.join()
    assert all(check.status == "passing" for check in machines(sandbox)[0].checks.values())


def test_a_first_create_that_fails_shows_the_log_and_removes_its_machine(sandbox: Sandbox) -> None:
    """The error has the check's output and the log tail; nothing is left to pay for."""
    sandbox.emulated.script(app="shop", passing=False, output="connection refused", lines=("no database", "giving up"))
    with pytest.raises(FlyUnhealthyError) as caught:
        engine().create(inputs(healthy_timeout=20))
    text = str(caught.value)
    assert text.startswith('could not start machine "shop-ewr-1" of app "shop" within 20 s: check')
    assert "connection refused" in text
    assert "giving up" in text
    assert machines(sandbox) == []


def test_a_machine_that_exits_fails_before_the_time_is_over(sandbox: Sandbox) -> None:
    """A program that ends and is not restarted is not waited for; its exit code is told."""
    sandbox.emulated.script(app="shop", exit_code=78)
    with pytest.raises(FlyUnhealthyError, match="exit code 78"):
        engine().create(inputs(config=config(restart={"policy": "no"}), healthy_timeout=3000))
    assert machines(sandbox) == []


@pytest.mark.parametrize("trouble", UNCLEAR)
def test_an_unclear_answer_to_create_leaves_exactly_one_machine(sandbox: Sandbox, trouble: dict[str, Any]) -> None:
    """Whether the POST had its effect or not, there is one machine and it is the resource's."""
    sandbox.faults("fly").add("POST", "/machines$", **trouble)
    machine = engine().create(inputs())
    assert [made.id for made in machines(sandbox)] == [machine.id]


def test_a_lost_state_finds_its_machine_without_restarting_it(sandbox: Sandbox) -> None:
    """Same name, same marks, same config: adopted as it runs."""
    first = engine().create(inputs())
    again = engine().create(inputs())
    assert again.id == first.id
    assert again.outputs["instance_id"] == first.outputs["instance_id"]
    assert len(machines(sandbox)) == 1


def test_a_machine_that_an_interrupted_run_left_unhealthy_is_not_believed(sandbox: Sandbox) -> None:
    """Found as it should be, it still has to pass its checks before it counts as made."""
    engine().create(inputs())
    script = sandbox.emulated.script(app="shop", passing=False, output="no database")
    client = client_of(sandbox)
    update_by_hand(sandbox, machines(sandbox)[0].id)
    with pytest.raises(FlyUnhealthyError, match="no database"):
        engine().create(inputs(healthy_timeout=10))
    script.passing = True
    assert engine().create(inputs()).id == client.machines.list("shop")[0].id


def test_an_update_happens_in_place_under_a_lease(sandbox: Sandbox) -> None:
    """Same machine, new version, new revision; the lease is given back and the machine gets requests again."""
    machine = engine().create(inputs())
    before = dict(machine.outputs)
    assert machine.up(inputs(config=config(image=OTHER_IMAGE))) == "update"
    (made,) = machines(sandbox)
    assert made.id == machine.id == before["machine_id"]
    assert machine.outputs["revision"] != before["revision"]
    assert machine.outputs["instance_id"] == made.instance_id != before["instance_id"]
    assert machine.outputs["image_digest"] == f"sha256:{'b' * 64}"
    assert made.lease is None
    assert not made.cordoned
    calls = [call["path"].rsplit("/", 1)[-1] for call in sandbox.journal() if call["method"] != "GET"]
    assert calls.index("lease") < calls.index("cordon") < calls.index(machine.id) < calls.index("uncordon")


@pytest.mark.parametrize("trouble", UNCLEAR)
def test_an_unclear_answer_to_an_update_is_found_out(sandbox: Sandbox, trouble: dict[str, Any]) -> None:
    """The update happens once, whether its first POST had its effect or not."""
    machine = engine().create(inputs())
    sandbox.faults("fly").add("POST", f"/machines/{machine.id}$", **trouble)
    machine.up(inputs(config=config(image=OTHER_IMAGE)))
    (made,) = machines(sandbox)
    assert made.config["image"] == OTHER_IMAGE
    assert len(made.versions) == 2


def test_an_update_that_does_not_get_healthy_is_put_back(sandbox: Sandbox) -> None:
    """The previous config runs again and is healthy, the error tells both, and the state still describes it."""
    machine = engine().create(inputs())
    before = dict(machine.outputs)
    sandbox.emulated.script(image="b" * 64, passing=False, output="no such table", lines=("migrate first",))
    with pytest.raises(FlyUnhealthyError) as caught:
        machine.up(inputs(config=config(image=OTHER_IMAGE), healthy_timeout=20))
    text = str(caught.value)
    assert text.startswith('could not update machine "shop-ewr-1" of app "shop" within 20 s: check')
    assert "no such table" in text
    assert "The previous config was put back and is healthy." in text
    assert "migrate first" in text
    (made,) = machines(sandbox)
    assert (made.config["image"], made.state, made.cordoned, made.lease) == (IMAGE, "started", False, None)
    assert all(check.status == "passing" for check in made.checks.values())
    assert machine.outputs == before
    assert machine.refresh()
    assert machine.up(inputs()) == "same"


def test_a_cordon_that_stays_does_not_hide_why_the_update_failed(sandbox: Sandbox) -> None:
    """The failure is told; the cordon is drift afterwards and mended by the next up."""
    machine = engine().create(inputs())
    sandbox.emulated.script(image="b" * 64, passing=False, output="no such table")
    fault = sandbox.faults("fly").add("POST", "/uncordon$", times=None, status=422, body={"error": "no"})
    with pytest.raises(FlyUnhealthyError, match="no such table"):
        machine.up(inputs(config=config(image=OTHER_IMAGE), healthy_timeout=10))
    assert fault.hits == 1
    sandbox.faults("fly").clear()
    assert machine.refresh()
    assert machine.outputs["drifted"] == ["cordoned"]
    assert machine.up(inputs()) == "update"
    assert not machines(sandbox)[0].cordoned


def test_an_update_whose_machine_gives_up_is_put_back_too(sandbox: Sandbox) -> None:
    """A version that exits at once, or cannot be booted, does not wait for its time to be over."""
    machine = engine().create(inputs())
    sandbox.emulated.script(image="b" * 64, boot_error="exec format error")
    with pytest.raises(FlyUnhealthyError, match="put back and is healthy"):
        machine.up(inputs(config=config(image=OTHER_IMAGE), healthy_timeout=3000))
    assert machines(sandbox)[0].config["image"] == IMAGE


def test_a_failure_caused_by_a_secret_names_the_secrets_that_changed(sandbox: Sandbox) -> None:
    """Secrets are app-wide and cannot be put back, so the person has to know which to look at."""
    client = client_of(sandbox)
    client.secrets.write("shop", {"OLD": "1"})
    machine = engine().create(inputs(min_secrets_version=1))
    sandbox.emulated.script(app="shop", environment={"DATABASE_URL": "wrong"}, passing=False, output="bad password")
    version = client.secrets.write("shop", {"DATABASE_URL": "wrong"}).version
    with pytest.raises(FlyUnhealthyError) as caught:
        machine.up(inputs(min_secrets_version=version, secrets_fingerprint="f2", healthy_timeout=20))
    text = str(caught.value)
    assert "Its config did not change. Of its secrets DATABASE_URL changed since" in text
    assert "OLD" not in text
    assert "wrong" not in text
    right = client.secrets.write("shop", {"DATABASE_URL": "right"}).version
    assert machine.up(inputs(min_secrets_version=right, secrets_fingerprint="f3")) == "update"
    assert machines(sandbox)[0].secrets["DATABASE_URL"] == "right"


def test_a_new_secrets_version_reaches_the_machine(sandbox: Sandbox) -> None:
    """The update asks for the version, so the machine cannot come up with older secrets."""
    machine = engine().create(inputs())
    version = client_of(sandbox).secrets.write("shop", {"A_SECRET": "fresh"}).version
    assert machine.up(inputs(min_secrets_version=version, secrets_fingerprint="f2")) == "update"
    assert machines(sandbox)[0].secrets["A_SECRET"] == "fresh"


@pytest.mark.parametrize(
    ("changes", "drifted"),
    [
        ({"image": OTHER_IMAGE}, ["image"]),
        ({"env": {"A": "2"}}, ["env.A"]),
        ({"guest": {"cpu_kind": "shared", "cpus": 1, "memory_mb": 512}}, ["guest.memory_mb"]),
        ({"services": []}, ["services"]),
        ({"init": {"cmd": ["sleep", "1"]}}, ["init.cmd"]),
    ],
)
def test_what_another_tool_changed_is_named_and_mended(
    sandbox: Sandbox, changes: dict[str, Any], drifted: list[str]
) -> None:
    """The refresh lists the path and shows the live value, twice; the next up puts ours back."""
    machine = engine().create(inputs())
    kept = {"env": {"FLY_PROCESS_GROUP": "app", "PRIMARY_REGION": "ewr"} | changes["env"]} if "env" in changes else {}
    update_by_hand(sandbox, machine.id, **(changes | kept))
    assert machine.refresh()
    assert machine.outputs["drifted"] == drifted
    assert machine.inputs["config"] != EngineSide(FlyMachineProvider).check(inputs())["config"]
    assert machine.refresh()
    assert machine.up(inputs()) == "update"
    assert machine.refresh()
    assert machine.outputs["drifted"] == []
    assert machine.up(inputs()) == "same"


def test_a_machine_stopped_by_hand_is_started_without_a_new_version(sandbox: Sandbox) -> None:
    """Its state is drift; mending it is a start, not a deploy."""
    machine = engine().create(inputs())
    client = client_of(sandbox)
    client.machines.stop("shop", client.machines.get("shop", machine.id))
    until(lambda: machines(sandbox)[0].state == "stopped")
    assert machine.refresh()
    assert machine.outputs["drifted"] == ["state: stopped"]
    before = machine.outputs["instance_id"]
    assert machine.up(inputs()) == "update"
    assert machines(sandbox)[0].state == "started"
    assert machine.outputs["instance_id"] == before


def test_a_cordon_that_was_left_is_taken_off(sandbox: Sandbox) -> None:
    """A run killed in the middle of a rolling update leaves a machine without requests: drift, and mended."""
    machine = engine().create(inputs())
    client = client_of(sandbox)
    client.machines.cordon("shop", client.machines.get("shop", machine.id))
    assert machine.refresh()
    assert machine.outputs["drifted"] == ["cordoned"]
    assert machine.up(inputs()) == "update"
    assert not machines(sandbox)[0].cordoned


def test_a_restart_for_a_stranger_s_secret_is_no_drift(sandbox: Sandbox) -> None:
    """`fly secrets set OTHER=…` updates every machine with its own config: nothing of ours changed."""
    machine = engine().create(inputs())
    before = dict(machine.outputs)
    update_by_hand(sandbox, machine.id)
    assert machine.refresh()
    assert machine.outputs == before
    assert machine.up(inputs()) == "same"


def test_a_machine_destroyed_by_hand_is_gone_and_made_again(sandbox: Sandbox) -> None:
    """Refresh drops it; without the refresh an update says what to do; delete is fine with it."""
    machine = engine().create(inputs())
    again = EngineSide(FlyMachineProvider, id=machine.id, inputs=machine.inputs, outputs=machine.outputs)
    client = client_of(sandbox)
    client.machines.destroy("shop", client.machines.get("shop", machine.id))
    until(lambda: not machines(sandbox))
    with pytest.raises(FlyNotFoundError, match="pulumi up --refresh"):
        machine.up(inputs(config=config(image=OTHER_IMAGE)))
    assert not machine.refresh()
    again.delete()
    machine.create(inputs())
    assert len(machines(sandbox)) == 1


def test_another_token_does_not_make_a_machine_gone(sandbox: Sandbox) -> None:
    """With its app gone, only a token of the organization proves it."""
    machine = engine().create(inputs())
    client = client_of(sandbox)
    client.machines.destroy("shop", client.machines.get("shop", machine.id))
    until(lambda: not machines(sandbox))
    client.apps.delete("shop")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLY_API_TOKEN", sandbox.fly.state.add_token("somebody-else").value)
        for act in (machine.refresh, machine.delete):
            with pytest.raises(FlyUnprovenError):
                act()
    assert not machine.refresh()


def test_delete_drains_stops_and_destroys(sandbox: Sandbox) -> None:
    """In that order, and a second delete is fine."""
    machine = engine().create(inputs())
    again = EngineSide(FlyMachineProvider, id=machine.id, outputs=machine.outputs)
    machine.delete()
    assert machines(sandbox) == []
    verbs = [call["path"].rsplit("/", 1)[-1] for call in sandbox.journal() if call["method"] == "POST"]
    assert verbs.index("cordon") < verbs.index("stop")
    assert [call["method"] for call in sandbox.journal()].count("DELETE") == 1
    again.delete()


def test_delete_refuses_a_machine_that_another_stack_took_over(sandbox: Sandbox) -> None:
    """The mark decides."""
    machine = engine().create(inputs())
    client = client_of(sandbox)
    client.machines.set_metadata("shop", client.machines.get("shop", machine.id), {"prefect_fly_owner": STRANGER})
    with pytest.raises(FlyForeignError, match="belongs to another stack"):
        machine.delete()
    assert len(machines(sandbox)) == 1


def test_a_foreign_machine_with_our_name_is_refused(sandbox: Sandbox) -> None:
    """Neither a person's nor another stack's machine is taken without being asked to."""
    by_hand(sandbox, "shop-ewr-1")
    with pytest.raises(FlyForeignError, match=r"this stack did not make it.*fly\.adoptExisting"):
        engine().create(inputs())
    assert machines(sandbox)[0].config["image"] == IMAGE


def test_another_stack_s_machine_is_refused_also_when_adopting(sandbox: Sandbox) -> None:
    """Two stacks must not fight over one machine."""
    by_hand(sandbox, "shop-ewr-1", {"prefect_fly_owner": STRANGER})
    with pytest.raises(FlyForeignError, match="belongs to another stack"):
        engine().create(inputs(adopt=True))


def test_a_machine_made_by_fly_deploy_is_adopted_without_a_restart_when_nothing_differs(sandbox: Sandbox) -> None:
    """It keeps its name and its version and gets our marks; from then on it is the resource's."""
    env = {"FLY_PROCESS_GROUP": "app", "PRIMARY_REGION": "ewr", "A": "1"}
    machine_id = by_hand(sandbox, "winter-moon-12", env=env)
    version = machines(sandbox)[0].instance_id
    machine = engine().create(inputs(adopt=True))
    assert machine.id == machine_id
    (made,) = machines(sandbox)
    assert (made.name, made.instance_id) == ("winter-moon-12", version)
    assert made.config["metadata"]["prefect_fly_owner"] == OWNER
    assert machine.refresh()
    assert machine.up(inputs(adopt=True)) == "same"
    assert engine().create(inputs()).id == machine_id


def test_an_adopted_machine_that_differs_is_updated_in_place(sandbox: Sandbox) -> None:
    """What the manual runbook deployed becomes what the stack states."""
    machine_id = by_hand(sandbox, "winter-moon-12", image=OTHER_IMAGE)
    assert engine().create(inputs(adopt=True)).id == machine_id
    assert [made.config["image"] for made in machines(sandbox)] == [IMAGE]


def test_two_replicas_adopt_two_machines(sandbox: Sandbox) -> None:
    """The HA default of fly deploy makes two: each is taken once."""
    ids = {by_hand(sandbox, "one"), by_hand(sandbox, "two")}
    first = engine().create(inputs(adopt=True))
    second = engine().create(inputs(adopt=True, name="shop-ewr-2"))
    assert {first.id, second.id} == ids
    third = engine().create(inputs(adopt=True, name="shop-ewr-3"))
    assert third.id not in ids


def test_a_one_off_machine_is_never_adopted(sandbox: Sandbox) -> None:
    """A release command of fly deploy is not a server."""
    by_hand(sandbox, "release", {"fly_platform_version": "v2", "fly_process_group": "fly_app_release_command"})
    engine().create(inputs(adopt=True))
    assert len(machines(sandbox)) == 2


def test_replacements_leave_exactly_one_machine(sandbox: Sandbox) -> None:
    """A changed region of the same name, and `up --replace`: the old one is gone before the new one is made."""
    machine = engine().create(inputs())
    assert machine.up(inputs(region="fra")) == "replace"
    assert [made.region for made in machines(sandbox)] == ["fra"]
    machine.delete()
    machine.create(inputs(region="fra"))
    assert [made.id for made in machines(sandbox)] == [machine.id]


def test_what_an_interrupted_run_left_in_another_region_is_removed(sandbox: Sandbox) -> None:
    """Our name and our mark in the wrong region can only be a leftover: region is immutable."""
    engine().create(inputs())
    machine = engine().create(inputs(region="fra"))
    assert [made.id for made in machines(sandbox)] == [machine.id]


@pytest.mark.parametrize(
    ("status", "body", "kind", "advice"),
    [
        (422, {"error": "no room", "status": "insufficient_capacity"}, FlyCapacityError, "another region"),
        (422, {"error": "reached its machine limit of 10"}, FlyMachineLimitError, "raise the organization's limit"),
        (422, {"error": "please add a payment method"}, FlyPaymentError, "payment card"),
        (400, {"error": "invalid config.guest.memory_mb"}, FlyRefusedError, "Mend what the message names"),
        (400, "", FlyRefusedError, "gave no reason"),
    ],
)
def test_what_cannot_be_retried_fails_at_once_with_the_sentence_that_helps(
    sandbox: Sandbox, status: int, body: object, kind: type[Exception], advice: str
) -> None:
    """One call, one error, nothing left behind."""
    fault = sandbox.faults("fly").add("POST", "/machines$", times=None, status=status, body=body)
    with pytest.raises(kind, match=advice):
        engine().create(inputs())
    assert fault.hits == 1
    assert machines(sandbox) == []


def test_a_fresh_image_that_the_registry_does_not_know_yet_is_waited_for(sandbox: Sandbox) -> None:
    """MANIFEST_UNKNOWN right after a push passes by itself."""
    fault = sandbox.faults("fly").add(
        "POST", "/machines$", times=3, status=400, body={"error": "failed to get manifest: MANIFEST_UNKNOWN"}
    )
    engine().create(inputs())
    assert fault.hits == 3


def test_an_image_that_never_comes_is_said_so(sandbox: Sandbox) -> None:
    """The retries are bounded, and the sentence says to push it again."""
    body = {"error": "failed to get manifest: MANIFEST_UNKNOWN"}
    sandbox.faults("fly").add("POST", "/machines$", times=None, status=400, body=body)
    with pytest.raises(FlyImageMissingError, match="Push the image again"):
        engine().create(inputs())


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "1"}])
def test_rate_limits_are_waited_out(sandbox: Sandbox, headers: dict[str, str]) -> None:
    """429 with and without Retry-After, on every kind of call."""
    faults = sandbox.faults("fly")
    hit = [
        faults.add(method, path, times=2, status=429, headers=headers)
        for method, path in (("GET", "/machines$"), ("POST", "/machines$"), ("GET", "/wait$"))
    ]
    engine().create(inputs())
    assert [fault.hits for fault in hit] == [2, 2, 2]
    assert len(machines(sandbox)) == 1


def test_a_lease_of_another_deploy_is_waited_for(sandbox: Sandbox) -> None:
    """It runs out by itself; nothing is changed while somebody else holds it."""
    machine = engine().create(inputs())
    client = client_of(sandbox)
    client.machines.lease("shop", client.machines.get("shop", machine.id), seconds=1)
    assert machine.up(inputs(config=config(image=OTHER_IMAGE))) == "update"
    assert machines(sandbox)[0].lease is None


def test_an_unreachable_host_is_said_so(sandbox: Sandbox) -> None:
    """The refresh lists it instead of inventing drift, and the update says how to go on."""
    machine = engine().create(inputs())
    machines(sandbox)[0].host_status = "unreachable"
    assert machine.refresh()
    assert machine.outputs["drifted"] == ["host: unreachable"]
    with pytest.raises(FlyHostError, match="pulumi up --replace"):
        machine.up(inputs())
    with pytest.raises(FlyHostError, match="could not destroy machine"):
        machine.delete()
    assert {call["path"].rsplit("/", 1)[-1] for call in sandbox.journal("fly")}.isdisjoint({"cordon", "stop"})


def test_no_error_text_holds_a_secret(sandbox: Sandbox) -> None:
    """The config's environment and the token stay out of every sentence."""
    sandbox.faults("fly").add("POST", "/machines$", status=422, body={"error": "no"})
    with pytest.raises(FlyRefusedError) as caught:
        engine().create(inputs(config=config(env={"A": "canary-in-env"})))
    token = sandbox.env()["FLY_API_TOKEN"]
    for secret in ("canary-in-env", token, base64.b64encode(token.encode()).decode()):
        assert secret not in str(caught.value)
        assert secret not in repr(caught.value)
