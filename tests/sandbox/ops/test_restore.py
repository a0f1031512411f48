"""`restore` as a person runs it: the machines stop, the image's verb runs, and the old image serves again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clients.endpoints import World
from ops import backup_database, restore, restore_file
from ops.backup_file import Manifest, writing
from ops.errors import OpsError
from ops.runtime import Runtime
from ops.status_stack import StatedStack
from sandbox.captionacc import ORCHESTRATOR
from tests.sandbox.ops.conftest import Verbs
from tests.support.waiting import until

OLD = f"registry.fly.io/acme@sha256:{'0' * 64}"
NEW = f"registry.fly.io/acme@sha256:{'1' * 64}"


@pytest.fixture
def pins(monkeypatch: pytest.MonkeyPatch, verbs: Verbs) -> list[str]:
    """Let the stack's server be the app that the sandbox has, on the image NEW; return what is pinned."""
    stack: dict[str, Any] = dict.fromkeys(StatedStack.__dataclass_fields__, "")
    stack |= {"name": "prod", "world": World.SANDBOX, "server_app": ORCHESTRATOR}
    monkeypatch.setattr(StatedStack, "named", lambda _name: StatedStack(**stack))
    pinned: list[str] = []

    def pin(_stack: str, image: str, _rt: Runtime) -> bool:
        pinned.append(image)
        return True

    monkeypatch.setattr(restore, "_pin", pin)
    machine = verbs.sandbox.fly.state.apps[ORCHESTRATOR].live_machines[0]
    verbs.sandbox.run(verbs.sandbox.fly.update_machine(machine, config={**machine.config, "image": NEW}))
    until(verbs.started)
    return pinned


def copy(name: str = "prefect_before_3_8_8", **more: Any) -> dict[str, Any]:
    """What the image says of a copy."""
    said = {"name": name, "revision": "old", "head": "new", "image": OLD, "leads_to": "", "rows": 3, "size": 9}
    return said | {"made_at": "2026-11-28", "upgrade_to": "3.8.8"} | more


def script(verbs: Verbs, *copies: dict[str, Any], restored: int = 0) -> None:
    """Let the image's two verbs answer like this."""
    lines = (*(f"snapshot: {json.dumps(each)}" for each in copies), f"snapshots: {len(copies)}")
    verbs.sandbox.emulated.script(arguments=("snapshots",), lines=lines, exit_code=0, exit_after=0.1)
    said = ("restore-snapshot: could not restore: it is odd.",) if restored else ("restored: {}",)
    verbs.sandbox.emulated.script(arguments=("restore-snapshot",), lines=said, exit_code=restored, exit_after=0.1)


def machine(verbs: Verbs) -> tuple[str, str, bool]:
    """State, image and cordon of the server's machine."""
    (found,) = verbs.sandbox.fly.state.apps[ORCHESTRATOR].live_machines
    return found.state, found.config["image"], found.cordoned


def test_back_to_the_image_before(verbs: Verbs, pins: list[str]) -> None:
    """The server is stopped before its tables are exchanged, then runs the copy's image; the stack is held there."""
    script(verbs, copy("prefect_before_3_0"), copy())
    report = verbs.run_of_stack("restore", "prod")
    assert report == {"restored": "prefect_before_3_8_8", "revision": "old", "image": OLD, "pinned": True}, (
        verbs.failure
    )
    assert machine(verbs) == ("started", OLD, False)
    assert pins == [OLD]
    calls = [f"{entry['method']} {entry['path'].rpartition('/')[2]}" for entry in verbs.sandbox.journal("fly")]
    assert calls.index("POST cordon") < calls.index("POST stop")
    launches = {launch.arguments[0]: launch for launch in verbs.sandbox.emulated.launches if launch.arguments}
    environ = launches["restore-snapshot"].environment
    assert environ["PREFECT_FLY_SNAPSHOT"] == "prefect_before_3_8_8"
    assert (environ["PREFECT_FLY_IMAGE_BEFORE"], environ["PREFECT_FLY_IMAGE_AFTER"]) == (NEW, OLD)


def test_what_fails_leaves_the_server_as_it_was(verbs: Verbs, pins: list[str]) -> None:
    """When the tables could not be exchanged the same server runs again, and the image's sentence is shown."""
    script(verbs, copy(), restored=24)
    assert verbs.run_of_stack("restore", "prod") is None
    assert "could not restore the database of app" in verbs.failure
    assert "it is odd (exit code 24)" in verbs.failure
    state, image, cordoned = machine(verbs)
    assert (state in {"starting", "started"}, image, cordoned, pins) == (True, NEW, False, [])


@pytest.mark.parametrize(
    ("copies", "flags", "says"),
    [
        ([], [], "there is no copy from before an upgrade in its database. Nothing was changed. There are: none"),
        ([copy()], ["--snapshot", "x"], 'there is no copy "x"'),
        ([copy(image="")], [], "it is not known which image ran with it. Give --image"),
    ],
)
def test_refused_before_anything_stops(
    verbs: Verbs, pins: list[str], copies: list[dict[str, Any]], flags: list[str], says: str
) -> None:
    """Without a copy, or without an image to go back to, the server is not touched."""
    script(verbs, *copies)
    assert verbs.run_of_stack("restore", "prod", *flags) is None
    assert says in verbs.failure
    assert machine(verbs) == ("started", NEW, False)
    assert pins == []


def test_an_interrupted_one_goes_on(verbs: Verbs, pins: list[str]) -> None:
    """When the tables are exchanged already and the newer image still runs, an older copy is not taken as well."""
    aside = copy("prefect_after_3_8_8", revision="new", head="new", image=NEW, leads_to=OLD)
    script(verbs, copy("prefect_before_3_0"), aside, restored=24)
    report = verbs.run_of_stack("restore", "prod")
    assert report == {"aside": "prefect_after_3_8_8", "image": OLD, "pinned": True}, verbs.failure
    assert machine(verbs) == ("started", OLD, False)


def test_list(verbs: Verbs, pins: list[str]) -> None:
    """--list shows the copies and changes nothing."""
    script(verbs, copy())
    assert verbs.run_of_stack("restore", "prod", "--list") == {"snapshots": [copy()]}
    assert machine(verbs) == ("started", NEW, False)


@pytest.fixture
def backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A backup without tables, and a database that nobody asks; tests/image has the real one."""
    path = tmp_path / "prefect.backup"
    with writing(path) as writer:
        writer.finish(Manifest(schema="prefect", revision="r", made_at="2026-11-28", tables=[]))

    async def fits(*_: object, **__: object) -> None:
        """Anything."""

    monkeypatch.setattr(backup_database, "require_fitting", fits)
    monkeypatch.setattr(restore_file, "database_of", lambda *_: None)
    return path


@pytest.mark.parametrize("fails", [False, True])
def test_a_file_is_loaded_while_the_server_is_stopped(
    verbs: Verbs, pins: list[str], backup: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """The server stands still while its rows are replaced and runs again afterwards, also when that failed."""
    seen: list[tuple[str, str, bool]] = []

    async def load(*_: object, **__: object) -> None:
        seen.append(machine(verbs))
        if fails:
            raise OpsError("could not load it.")

    monkeypatch.setattr(backup_database, "load", load)
    report = verbs.run_of_stack("restore", "prod", str(backup))
    assert seen == [("stopped", NEW, True)], verbs.failure
    until(verbs.started)
    assert machine(verbs) == ("started", NEW, False)
    assert pins == []
    assert (report is None) is fails
    assert ("could not load it." in verbs.failure) is fails


def test_a_cut_file_stops_nothing(verbs: Verbs, pins: list[str], backup: Path) -> None:
    """A file that is not whole is refused before any call to Fly."""
    backup.write_bytes(backup.read_bytes()[:-9])
    calls = len(verbs.sandbox.journal("fly"))
    assert verbs.run_of_stack("restore", "prod", str(backup)) is None
    assert "was cut off" in verbs.failure
    assert len(verbs.sandbox.journal("fly")) == calls
