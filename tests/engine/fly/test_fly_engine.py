"""The Fly resources under the real engine, against emulated machines: what a person sees of them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from clients.fly.addresses import Kind
from clients.fly.model import MachineRequest
from clients.names import marker_of
from sandbox.fly import FlyOptions
from sandbox.fly.models import App
from sandbox.testing import Sandbox, running_sandbox
from tests.support.cli_stack import CliStack
from tests.support.fly_world import IMAGE, ORG, OTHER_IMAGE, OWNER, FastClock, client_of, config

pytestmark = pytest.mark.engine

ROOT = Path(__file__).resolve().parents[3]
CANARY = "canary 7f/3a+9e"
PROGRAM = """
import pulumi
from providers.fly_app import App
from providers.fly_ip_address import IpAddress
from providers.fly_machine import Machine
from providers.fly_secrets import Secrets

common = {"endpoints": "sandbox"}
app = App("shop", org=ORG, name="shop", owner=OWNER, adopt_existing=ADOPT, **common)
with_app = pulumi.ResourceOptions(replace_with=[app])
for kind in ("shared_v4", "v6"):
    IpAddress(f"shop-{kind}", app=app.name, kind=kind, opts=with_app, **common)
values = {"A": pulumi.Output.secret(VALUE)}
secrets = Secrets("shop", app=app.name, values=values, owner=OWNER, take_over=ADOPT, opts=with_app, **common)
before = []
for number in range(1, REPLICAS + 1):
    opts = pulumi.ResourceOptions(depends_on=before, replace_with=[app])
    machine = Machine(
        f"shop-{REGION}-{number}", app=app.name, name=f"shop-{REGION}-{number}", region=REGION, config=CONFIG,
        owner=OWNER, min_secrets_version=secrets.version, secrets_fingerprint=secrets.fingerprint,
        healthy_timeout=HEALTHY, adopt=ADOPT, opts=opts, **common
    )
    before = [machine]
pulumi.export("revision", machine.revision)
"""


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    options = FlyOptions(org=ORG, exact_rate_limits=False)
    with running_sandbox(tmp_path / "sandbox", clock=FastClock(), fly=options, filled=False) as running:
        yield running


@pytest.fixture
def stack(tmp_path: Path, sandbox: Sandbox) -> CliStack:
    made = CliStack(tmp_path / "stack", {**sandbox.env(), "PYTHONPATH": str(ROOT)})
    write(made)
    return made


def write(stack: CliStack, **changes: Any) -> None:
    """Write the program with these values changed."""
    values = {
        "ORG": ORG,
        "OWNER": OWNER,
        "VALUE": CANARY,
        "CONFIG": config(),
        "REPLICAS": 1,
        "REGION": "ewr",
        "HEALTHY": 60,
        "ADOPT": False,
    }
    stack.program(PROGRAM, **(values | changes))


def run(stack: CliStack, *words: str, code: int = 0) -> str:
    """Run the CLI, expect an exit code and return what it printed."""
    done = stack.cli(*words)
    assert done.code == code, done.text
    return done.text


def up(stack: CliStack, *words: str, code: int = 0) -> str:
    return run(stack, "up", "--yes", "--skip-preview", *words, code=code)


def unchanged(stack: CliStack) -> None:
    """Fail unless a preview, with and without a refresh, finds nothing to do."""
    run(stack, "preview", "--expect-no-changes")
    run(stack, "preview", "--refresh", "--expect-no-changes")


def shop(sandbox: Sandbox) -> App:
    return sandbox.fly.state.apps["shop"]


def one_of_each(sandbox: Sandbox) -> None:
    """Fail unless there is exactly one live object of each kind, as the program states."""
    app = shop(sandbox)
    assert sorted(address.kind for address in app.addresses) == ["shared_v4", "v6"]
    assert {name: secret.value for name, secret in app.secrets.items()} == {"A": CANARY, marker_of(OWNER): "1"}
    assert [(machine.name, machine.state) for machine in app.live_machines] == [("shop-ewr-1", "started")]
    assert app.live_machines[0].secrets["A"] == CANARY


def test_a_stack_comes_stays_is_fixed_and_goes(stack: CliStack, sandbox: Sandbox) -> None:
    """Up, an empty second preview, every kind of drift named and fixed, destroy: Fly is empty, nothing leaked."""
    up(stack)
    one_of_each(sandbox)
    unchanged(stack)

    client = client_of(sandbox)
    client.secrets.write("shop", {"STRANGER": "keep"})
    unchanged(stack)

    machine = client.machines.get("shop", shop(sandbox).live_machines[0].id)
    wrong = machine.config | {"image": OTHER_IMAGE}
    client.machines.update("shop", machine, MachineRequest(name=machine.name, region="ewr", config=wrong))
    client.secrets.write("shop", {"A": "by hand"})
    client.addresses.release("shop", next(address.ip for address in shop(sandbox).addresses if address.kind == "v6"))
    seen = run(stack, "preview", "--refresh", "--diff")
    assert OTHER_IMAGE in seen
    assert "A: changed" in seen
    assert "shop-v6" in seen
    up(stack, "--refresh")
    client.secrets.write("shop", {"STRANGER": None})
    one_of_each(sandbox)
    unchanged(stack)

    state = run(stack, "stack", "export")
    for spelling in (CANARY, base64.b64encode(CANARY.encode()).decode(), quote(CANARY)):
        assert spelling not in state + seen
    run(stack, "destroy", "--yes", "--skip-preview")
    assert "shop" not in sandbox.fly.state.apps
    assert json.loads(run(stack, "stack", "export"))["deployment"].get("resources") in (None, [])


@pytest.mark.long
def test_people_who_followed_the_manual_runbook_migrate_with_one_setting(stack: CliStack, sandbox: Sandbox) -> None:
    """What was made by hand is refused without the setting, and with it taken over without a restart."""
    client = client_of(sandbox)
    client.apps.create("shop", ORG)
    for kind in Kind:
        client.addresses.allocate("shop", kind)
    version = client.secrets.write("shop", {"A": CANARY, "STRANGER": "keep"}).version
    marks = {"fly_platform_version": "v2", "fly_process_group": "app", "fly_release_version": "7"}
    env = {"FLY_PROCESS_GROUP": "app", "PRIMARY_REGION": "ewr"}
    made = config(metadata=marks, env=env | config()["env"])
    request = MachineRequest(name="winter-moon-12", region="ewr", config=made, min_secrets_version=version)
    machine = client.machines.create("shop", request)
    before = {address.ip for address in shop(sandbox).addresses}

    assert "Set fly.adoptExisting: true" in up(stack, code=1)
    write(stack, ADOPT=True)
    up(stack)
    (taken,) = shop(sandbox).live_machines
    assert (taken.id, taken.instance_id) == (machine.id, machine.instance_id)
    assert {address.ip for address in shop(sandbox).addresses} == before
    assert shop(sandbox).secrets["STRANGER"].value == "keep"
    unchanged(stack)
    write(stack, ADOPT=True, CONFIG=config(image=OTHER_IMAGE))
    up(stack)
    (updated,) = shop(sandbox).live_machines
    assert (updated.id, updated.config["image"]) == (machine.id, OTHER_IMAGE)
    write(stack, CONFIG=config(image=OTHER_IMAGE))
    up(stack)
    assert shop(sandbox).live_machines[0].instance_id == updated.instance_id


@pytest.mark.long
def test_replacing_anything_by_hand_leaves_one_live_object(stack: CliStack, sandbox: Sandbox) -> None:
    """`up --replace` of each resource: create would adopt, so the old one must be gone first."""
    up(stack)
    # The app's own replacement takes everything in it along, which replace_with tells the engine.
    resources = json.loads(run(stack, "stack", "export"))["deployment"]["resources"]
    urns = [resource["urn"] for resource in resources if "pulumi-python:dynamic" in resource["type"]]
    assert len(urns) == 5
    for urn in urns:
        up(stack, "--replace", urn)
        one_of_each(sandbox)
    unchanged(stack)


def test_another_region_comes_up_before_the_old_one_goes(stack: CliStack, sandbox: Sandbox) -> None:
    """Region is in the logical name, so there is always a machine that runs."""
    up(stack)
    write(stack, REGION="fra")
    up(stack)
    assert [machine.region for machine in shop(sandbox).live_machines] == ["fra"]
    calls = [(call["method"], call["path"]) for call in sandbox.journal("fly")]
    creates = [place for place, call in enumerate(calls) if call == ("POST", "/v1/apps/shop/machines")]
    destroys = [place for place, call in enumerate(calls) if call[0] == "DELETE" and "/machines/" in call[1]]
    assert creates[-1] < destroys[0]


@pytest.mark.long
def test_replicas_grow_and_shrink_without_touching_the_first(stack: CliStack, sandbox: Sandbox) -> None:
    """One to five and back: the machines that stay are not updated."""
    up(stack)
    first = shop(sandbox).live_machines[0].instance_id
    write(stack, REPLICAS=5)
    up(stack)
    assert [machine.name for machine in shop(sandbox).live_machines] == [f"shop-ewr-{n}" for n in range(1, 6)]
    unchanged(stack)
    write(stack)
    up(stack)
    assert [(m.name, m.instance_id) for m in shop(sandbox).live_machines] == [("shop-ewr-1", first)]


def test_a_new_secret_value_restarts_the_machine_with_it(stack: CliStack, sandbox: Sandbox) -> None:
    """Rotation is one up: the secret, then the machine that asks for its version."""
    up(stack)
    before = run(stack, "stack", "output", "revision")
    write(stack, VALUE="rotated")
    up(stack)
    assert shop(sandbox).live_machines[0].secrets["A"] == "rotated"
    assert run(stack, "stack", "output", "revision") != before
    unchanged(stack)


@pytest.mark.long
def test_a_failed_update_leaves_the_old_one_running_and_the_state_true(stack: CliStack, sandbox: Sandbox) -> None:
    """The error is one sentence, the previous config is back, and fixing the program goes through."""
    up(stack)
    script = sandbox.emulated.script(image="b" * 64, passing=False, output="no such table")
    write(stack, CONFIG=config(image=OTHER_IMAGE), HEALTHY=6)
    said = up(stack, code=1)
    assert 'could not update machine "shop-ewr-1" of app "shop"' in said
    assert "The previous config was put back and is healthy." in said
    assert shop(sandbox).live_machines[0].config["image"] == IMAGE
    write(stack)
    unchanged(stack)
    script.passing = True
    write(stack, CONFIG=config(image=OTHER_IMAGE))
    up(stack)
    assert shop(sandbox).live_machines[0].config["image"] == OTHER_IMAGE


def test_a_wrong_token_never_makes_things_gone(stack: CliStack, sandbox: Sandbox) -> None:
    """Refresh and destroy with another organization's or a dead token fail with a sentence and keep the state."""
    up(stack)
    before = json.loads(run(stack, "stack", "export"))["deployment"]["resources"]
    right = stack.variables["FLY_API_TOKEN"]
    for token in (sandbox.fly.state.add_token("somebody-else").value, "nobody's"):
        stack.variables["FLY_API_TOKEN"] = token
        assert "could not read app" in run(stack, "refresh", "--yes", "--skip-preview", code=1)
        assert "could not" in run(stack, "destroy", "--yes", "--skip-preview", code=1)
    stack.variables["FLY_API_TOKEN"] = right
    after = json.loads(run(stack, "stack", "export"))["deployment"]["resources"]
    assert {resource["urn"] for resource in after} == {resource["urn"] for resource in before}
    one_of_each(sandbox)
    run(stack, "destroy", "--yes", "--skip-preview")
    assert "shop" not in sandbox.fly.state.apps
