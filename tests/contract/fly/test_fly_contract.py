"""What our client relies on, one promise of the API per test (docs of the suite: conftest.py)."""

from __future__ import annotations

from secrets import token_hex

import pytest

from clients.fly.addresses import Kind
from clients.fly.config import differences
from clients.fly.errors import (
    FlyConflictError,
    FlyNameTakenError,
    FlyNotFoundError,
    FlyRefusedError,
    FlyUnauthorizedError,
)
from clients.fly.model import Machine, MachineRequest
from clients.fly.operations.leases import Lease
from clients.fly.operations.one_off import OneOffRequest, run_one_off
from clients.fly.operations.waiting import Watch
from tests.contract.fly.conftest import Target

SLEEP = ("sleep", "300")


def started(target: Target, app: str, name: str = "m1") -> Machine:
    """Return a machine that runs."""
    request = MachineRequest(name=name, region=target.region, config=target.config(*SLEEP))
    machine = target.client.machines.create(app, request)
    assert Watch(client=target.client, app=app, within=120.0).reached(machine, "started", version=machine.instance_id)
    return target.client.machines.get(app, machine.id)


def test_the_token_says_which_organization_it_covers(target: Target) -> None:
    """Without that a 404 could never be told from "you may not see it"."""
    assert target.client.tokens.covers(target.org, "any-app")
    assert not target.client.tokens.covers("another-organization", "any-app")


def test_a_wrong_token_is_refused(target: Target) -> None:
    """401, not an empty answer."""
    client = target.connect("a-token-that-nobody-made")
    with pytest.raises(FlyUnauthorizedError):
        client.tokens.current()


def test_an_app_is_made_found_and_deleted(target: Target, app: str) -> None:
    """Its organization and its emptiness are readable, and after deleting it answers 404."""
    found = target.client.apps.get(app)
    assert (found.name, found.org, found.machine_count) == (app, target.org, 0)
    target.client.apps.delete(app)
    target.client.apps.wait_gone(app)
    with pytest.raises(FlyNotFoundError):
        target.client.apps.get(app)
    with pytest.raises(FlyNotFoundError):
        target.client.secrets.list(app)


def test_a_taken_name_says_so(target: Target, app: str) -> None:
    """The second create is refused for its name."""
    with pytest.raises(FlyNameTakenError):
        target.client.apps.create(app, target.org)


def test_addresses_come_are_listed_and_go(target: Target, app: str) -> None:
    """A shared v4, a public and a private v6 can be told apart in the list; releasing twice is a 404."""
    addresses = target.client.addresses
    made = {kind: addresses.allocate(app, kind).ip for kind in Kind}
    listed = addresses.list(app)
    for kind, ip in made.items():
        assert [address.ip for address in listed if address.is_of(kind)] == [ip]
    addresses.release(app, made[Kind.V6])
    assert made[Kind.V6] not in {address.ip for address in addresses.list(app)}
    with pytest.raises(FlyNotFoundError):
        addresses.release(app, made[Kind.V6])


def test_secrets_are_written_in_bulk_and_show_only_digests(target: Target, app: str) -> None:
    """Values never come back; a digest changes with its value and only then; null removes; versions grow."""
    secrets = target.client.secrets
    first = secrets.write(app, {"ONE": "a", "TWO": "b"})
    before = {secret.name: secret.digest for secret in secrets.list(app, min_version=first.version)}
    assert set(before) == {"ONE", "TWO"}
    second = secrets.write(app, {"ONE": "changed", "TWO": "b", "THREE": None})
    after = {secret.name: secret.digest for secret in secrets.list(app, min_version=second.version)}
    assert second.version > first.version
    assert after["TWO"] == before["TWO"]
    assert after["ONE"] != before["ONE"]
    secrets.write(app, {"ONE": None})
    assert {secret.name for secret in secrets.list_now(app)} == {"TWO"}
    assert secrets.present_version(app) >= second.version


def test_a_machine_starts_and_keeps_the_meaning_of_its_config(target: Target, app: str) -> None:
    """What comes back is spelled differently at most: nothing that was sent is lost."""
    machine = started(target, app)
    assert (machine.name, machine.region, machine.state) == ("m1", target.region, "started")
    assert differences(target.config(*SLEEP), machine.config) == ()
    assert machine.id in {listed.id for listed in target.client.machines.list(app)}


def test_a_machine_s_name_is_unique_in_its_app(target: Target, app: str) -> None:
    """A create that is repeated after a lost answer cannot make a second machine."""
    started(target, app)
    with pytest.raises((FlyRefusedError, FlyConflictError)):
        target.client.machines.create(
            app, MachineRequest(name="m1", region=target.region, config=target.config(*SLEEP))
        )


def test_an_update_makes_a_new_version_and_a_stale_one_is_refused(target: Target, app: str) -> None:
    """`current_version` makes an update safe to repeat."""
    machine = started(target, app)
    request = MachineRequest(name="m1", region=target.region, config=target.config(*SLEEP) | {"env": {"A": "2"}})
    with Lease(target.client, app, machine) as lease:
        updated = target.client.machines.update(
            app, machine, request, nonce=lease.nonce, current_version=machine.instance_id
        )
        assert updated.instance_id != machine.instance_id
        assert Watch(client=target.client, app=app, within=120.0).reached(
            updated, "started", version=updated.instance_id
        )
        with pytest.raises((FlyConflictError, FlyRefusedError)):
            target.client.machines.update(app, machine, request, nonce=lease.nonce, current_version=machine.instance_id)
    assert target.client.machines.get(app, machine.id).config["env"]["A"] == "2"


def test_a_lease_keeps_others_out_until_it_is_given_back(target: Target, app: str) -> None:
    """Without the nonce a change is refused; with it, and after the release, it is not."""
    machine = started(target, app)
    nonce = target.client.machines.lease(app, machine, seconds=60)
    with pytest.raises(FlyConflictError):
        target.client.machines.stop(app, machine)
    with pytest.raises(FlyConflictError):
        target.client.machines.lease(app, machine, seconds=60)
    assert target.client.machines.lease(app, machine, seconds=60, nonce=nonce) == nonce
    target.client.machines.release(app, machine, nonce)
    target.client.machines.stop(app, machine)


def test_metadata_can_be_added_without_a_restart(target: Target, app: str) -> None:
    """Our marks reach an adopted machine that goes on running, and its own metadata stays."""
    machine = started(target, app)
    target.client.machines.set_metadata(app, machine, {"added": "1"})
    seen = target.client.machines.get(app, machine.id)
    assert (seen.metadata["added"], seen.metadata["contract"]) == ("1", "yes")
    assert (seen.instance_id, seen.state) == (machine.instance_id, "started")


def test_a_machine_can_be_stopped_and_started_again(target: Target, app: str) -> None:
    """The states are those that drift is read from."""
    machine = started(target, app)
    watch = Watch(client=target.client, app=app, within=60.0)
    target.client.machines.stop(app, machine)
    assert watch.reached(machine, "stopped", version=machine.instance_id)
    target.client.machines.start(app, machine)
    assert watch.reached(machine, "started", version=machine.instance_id)


def test_a_cordoned_machine_can_be_told(target: Target, app: str) -> None:
    """A run that was killed between the two leaves drift that is seen."""
    machine = started(target, app)
    target.client.machines.cordon(app, machine)
    assert target.client.machines.get(app, machine.id).cordoned
    target.client.machines.uncordon(app, machine)
    assert not target.client.machines.get(app, machine.id).cordoned


def test_a_destroyed_machine_is_gone_from_the_list(target: Target, app: str) -> None:
    """It may still be read by its id for a while, and then says that it is destroyed."""
    machine = started(target, app)
    target.client.machines.destroy(app, machine)
    assert Watch(client=target.client, app=app, within=60.0).reached(machine, "destroyed", version=machine.instance_id)
    assert machine.id not in {listed.id for listed in target.client.machines.list(app)}


def test_a_missing_machine_and_a_missing_app_are_404(target: Target, app: str) -> None:
    """Both are "not found", which by itself proves nothing."""
    nothing = Machine.from_wire({"id": token_hex(7), "name": "none"})
    with pytest.raises(FlyNotFoundError):
        target.client.machines.get(app, nothing.id)
    with pytest.raises(FlyNotFoundError):
        target.client.machines.list(f"contract-none-{token_hex(5)}")


def test_a_one_off_machine_tells_its_exit_code_and_leaves_nothing(target: Target, app: str) -> None:
    """The exit event can be read after the machine destroyed itself."""
    result = run_one_off(
        target.client,
        OneOffRequest(
            app=app,
            name="contract",
            image=target.image,
            region=target.region,
            cmd=("sh", "-c", "echo hello; exit 3"),
            owner="0123456789ab",
            memory_mb=256,
            timeout=600,
        ),
    )
    assert (result.exit_code, result.oom_killed) == (3, False)
    assert any("hello" in line for line in result.log_tail)
    assert target.client.machines.list(app) == ()


def test_a_command_in_a_machine_reads_its_standard_input(target: Target, app: str) -> None:
    """What a private server is asked through: secrets travel there, and the answer comes back whole."""
    machine = started(target, app)
    done = target.client.machines.run(app, machine, ("cat",), stdin='{"a": 1}\n', seconds=20)
    assert (done.exit_code, done.stdout) == (0, '{"a": 1}\n')


def test_a_name_of_ones_own_is_asked_for_found_and_given_up(target: Target, app: str) -> None:
    """It waits for its DNS, names the records to add, and answers 404 before and afterwards; twice is refused."""
    certificates, name = target.client.certificates, f"{app}.example.com"
    target.client.addresses.allocate(app, Kind.SHARED_V4)
    target.client.addresses.allocate(app, Kind.V6)
    assert certificates.find(app, name) is None
    asked = certificates.request(app, name)
    assert (asked.hostname, asked.acme_requested, asked.issued, asked.configured) == (name, True, False, False)
    assert {(row.type, row.name) for row in asked.records} >= {("CNAME", f"_acme-challenge.{name}")}
    assert {row.type for row in asked.records} & {"A", "AAAA", "CNAME"}
    with pytest.raises(FlyRefusedError):
        certificates.request(app, name)
    checked = certificates.check(app, name)
    assert (checked.issued, checked.configured, checked.seen) == (False, False, ())
    assert certificates.get(app, name).records == asked.records
    certificates.remove(app, name)
    for gone in (certificates.get, certificates.check, certificates.remove):
        with pytest.raises(FlyNotFoundError):
            gone(app, name)
