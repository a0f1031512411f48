from __future__ import annotations

import base64
from typing import Any

import pytest

from clients.fly.errors import (
    FlyCapacityError,
    FlyHostError,
    FlyImageMissingError,
    FlyMachineLimitError,
    FlyPaymentError,
    FlyRefusedError,
)
from sandbox.testing import Sandbox
from tests.support.fly_machines import UNCLEAR, engine, inputs, machines
from tests.support.fly_world import ORG, OTHER_IMAGE, client_of, config


@pytest.fixture(autouse=True)
def app(sandbox: Sandbox) -> None:
    client_of(sandbox).apps.create("shop", ORG)


@pytest.mark.parametrize("trouble", UNCLEAR)
def test_an_unclear_answer_to_create_leaves_exactly_one_machine(sandbox: Sandbox, trouble: dict[str, Any]) -> None:
    """Whether the POST had its effect or not, there is one machine and it is the resource's."""
    sandbox.faults("fly").add("POST", "/machines$", **trouble)
    machine = engine().create(inputs())
    assert [made.id for made in machines(sandbox)] == [machine.outputs["machine_id"]]


@pytest.mark.parametrize("trouble", UNCLEAR)
def test_an_unclear_answer_to_an_update_is_found_out(sandbox: Sandbox, trouble: dict[str, Any]) -> None:
    """The update happens once, whether its first POST had its effect or not."""
    machine = engine().create(inputs())
    sandbox.faults("fly").add("POST", f"/machines/{machine.outputs['machine_id']}$", **trouble)
    machine.up(inputs(config=config(image=OTHER_IMAGE)))
    (made,) = machines(sandbox)
    assert made.config["image"] == OTHER_IMAGE
    assert len(made.versions) == 2


@pytest.mark.parametrize(
    ("status", "body", "kind", "advice"),
    [
        (422, {"error": "no room", "status": "insufficient_capacity"}, FlyCapacityError, "another region"),
        (422, {"error": "reached its machine limit of 10"}, FlyMachineLimitError, "raise the organization's limit"),
        (422, {"error": "please add a payment method"}, FlyPaymentError, "payment card"),
        (400, {"error": "invalid config.guest.memory_mb"}, FlyRefusedError, "Correct what the message names"),
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
    client.machines.lease("shop", client.machines.get("shop", machine.outputs["machine_id"]), seconds=1)
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
