"""Whose a machine is, decided by what stands on it alone."""

from __future__ import annotations

from typing import Any

import pytest

from clients.fly.errors import FlyForeignError
from clients.fly.model import GROUP_KEY, NAME_KEY, OWNER_KEY, SUCCESSOR_KEY, Machine
from clients.fly.operations.one_off import GROUP
from clients.fly.operations.takeover import plan, require_adoptable
from clients.fly.operations.unknown_machines import removal, serves, unknown_machines

OURS = "0123456789ab"


def machine(id_: str, *, name: str = "", region: str = "ewr", created: str = "", **more: Any) -> Machine:
    """A started machine of process group app that nobody marked; `more` is its metadata."""
    metadata = {GROUP_KEY: "app", **more}
    given = {"id": id_, "name": name or id_, "region": region, "created_at": created, "state": "started"}
    return Machine.from_wire({**given, "config": {"metadata": metadata, "services": [{}]}})


def with_config(made: Machine, **config: Any) -> Machine:
    """The machine with these keys in its config."""
    made.config.update(config)
    return made


def ours(id_: str, label: str, **more: Any) -> Machine:
    """A machine that the stack made, or a clone of one."""
    return machine(id_, **{OWNER_KEY: OURS, NAME_KEY: label, **more})


def ids(machines: tuple[Machine, ...]) -> list[str]:
    return [each.id for each in machines]


def test_a_machine_with_the_name_is_taken_before_one_of_the_region() -> None:
    """Also when one of the region comes first; the rest goes."""
    found = plan([machine("a"), machine("b", name="shop-ewr-1", region="fra"), machine("c")], [("shop-ewr-1", "ewr")])
    assert found.adopted["shop-ewr-1"].id == "b"
    assert ids(found.retired) == ["a", "c"]
    found = plan([machine("a", region="fra"), machine("b")], [("shop-ewr-1", "ewr")])
    assert found.adopted["shop-ewr-1"].id == "b"


def test_what_cannot_be_taken_is_neither_taken_nor_removed() -> None:
    """A volume, an unknown group, no group; the services' machine is not an API machine."""
    volume = with_config(machine("a"), mounts=[{"volume": "v"}])
    found = plan([volume, machine("b", **{GROUP_KEY: "cron"}), machine("c", **{GROUP_KEY: ""})], [("x", "ewr")])
    assert found.adopted == {}
    assert found.retired == ()
    assert [(each.id, why) for each, why in found.refused] == [
        ("a", "it has a volume, whose data would be lost"),
        ("b", 'it is of process group "cron", which the stack does not have'),
        ("c", "it has no process group, so nobody can tell what it is for"),
    ]
    services = plan([machine("s", **{GROUP_KEY: "services"})], [("x", "ewr")])
    assert (services.adopted, services.retired, services.refused) == ({}, (), ())


def test_the_refusal_names_every_machine_and_a_command_for_each() -> None:
    """The whole sentence; an app without such machines is fine."""
    require_adoptable("shop", [machine("a"), ours("b", "shop-ewr-1")])
    with pytest.raises(FlyForeignError) as raised:
        require_adoptable("shop", [machine("a", **{GROUP_KEY: ""}), with_config(machine("b"), mounts=[{}])])
    assert str(raised.value) == (
        'could not take over app "shop": machine a (a): it has no process group, so nobody can tell what it is for; '
        "machine b (b): it has a volume, whose data would be lost. Nothing was changed. Move what it does elsewhere "
        'and remove it ("fly machine destroy a -a shop" or "fly machine destroy b -a shop"), then run it again.'
    )


def test_of_several_machines_of_a_label_the_one_with_its_name_is_ours() -> None:
    """A clone copies the marks and not the name, however old it is; what is not ours is listed by id."""
    mine = ours("d", "shop-ewr-1", name="shop-ewr-1-b", created="2026-02")
    clone = ours("b", "shop-ewr-1", name="wild-sun-7", created="2026-01")
    assert ids(unknown_machines([machine("e"), mine, clone, machine("a")], OURS)) == ["a", "b", "e"]
    assert ids(unknown_machines([mine, ours("c", "shop-fra-1", name="x")], OURS)) == []


def test_after_an_adoption_the_oldest_of_a_label_is_ours() -> None:
    """An adopted machine keeps the name that it had."""
    first = ours("z", "shop-ewr-1", name="quiet-moon-1", created="2026-01")
    assert ids(unknown_machines([ours("a", "shop-ewr-1", name="x", created="2026-02"), first], OURS)) == ["a"]


def test_a_machine_that_is_about_to_go_and_its_successor_are_ours() -> None:
    """Both while one takes the other's place, and no third."""
    goes = ours("m", "shop-ewr-1", name="shop-ewr-1", **{SUCCESSOR_KEY: "m/shop-ewr-1-b"})
    comes = ours("n", "shop-ewr-1", name="shop-ewr-1-b")
    clone = ours("o", "shop-ewr-1", name="wild-sun-7", **{SUCCESSOR_KEY: "m/shop-ewr-1-b"})
    assert ids(unknown_machines([goes, comes, clone], OURS)) == ["o"]


def test_what_ends_by_itself_is_not_looked_at() -> None:
    """One-off machines by their group or their flag, and what is on its way out."""
    console = with_config(machine("a"), auto_destroy=True)
    assert unknown_machines([console, machine("b", **{GROUP_KEY: GROUP})], OURS) == ()
    leaving = Machine.from_wire({"id": "c", "state": "destroying", "config": {}})
    assert unknown_machines([leaving], OURS) == ()


def test_a_machine_serves_only_when_the_edge_may_send_it_something() -> None:
    """Started, with a service, and not cordoned."""
    assert serves(machine("a"))
    assert not serves(with_config(machine("a"), services=[]))
    for change in ({"state": "stopped"}, {"cordoned": True}):
        given = {"id": "a", "state": "started", "config": {"services": [{}]}, **change}
        assert not serves(Machine.from_wire(given))


def test_the_way_to_remove_them_has_a_command_for_each() -> None:
    """To be copied as it stands."""
    assert removal("shop", [machine("a"), machine("b")]) == (
        'Remove what you do not need with "fly machine destroy --force a -a shop" and '
        '"fly machine destroy --force b -a shop", then run the command again.'
    )
