"""The pieces of the stand-in plugins that need neither engine nor daemon."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

import pytest
from pulumi.provider.experimental import property_value
from pulumi.runtime import rpc

from toolchain.standins import buildkit, protocol, values, world
from toolchain.standins.command import CommandProvider
from toolchain.standins.context import Context
from toolchain.standins.protocol import CheckRequest, CreateRequest, DeleteRequest, PropertyValue, UpdateRequest
from toolchain.standins.server import PluginError
from toolchain.standins.shell import Shell


def test_differences_are_named_by_property_path() -> None:
    """Nested changes, additions, removals and list items each have their own path and kind."""
    old = {"a": 1, "env": {"x": "1", "gone": "2"}, "triggers": ["a", "b"], "same": [1]}
    new = {"a": 2, "env": {"x": "1", "new": "3"}, "triggers": ["a"], "same": [1]}
    found = values.differences(old, new)
    kinds = {path: diff.kind.name for path, diff in found.items()}
    assert kinds == {"a": "UPDATE", "env.gone": "DELETE", "env.new": "ADD", "triggers[1]": "DELETE"}
    assert values.top_level(found) == ["a", "env", "triggers"]
    assert values.replacing(found["a"]).kind.name == "UPDATE_REPLACE"


def test_secretness_alone_is_no_difference() -> None:
    """A value that became secret is the same value."""
    plain = values.plain_map({"a": PropertyValue("v")})
    assert plain == values.plain_map({"a": PropertyValue("v", is_secret=True)})


def test_wrapping_and_unwrapping_gives_the_same_data() -> None:
    """Plain data survives the way to the engine's values and back; numbers are the engine's floats."""
    data = {"list": ["a", {"b": True}], "number": 2.0, "none": None, "text": "x"}
    assert values.plain(values.wrap(data)) == data


def test_values_cross_the_wire_as_the_sdk_would_send_and_read_them() -> None:
    """All kinds of value, secret ones inside others too; and the engine's own marks are those of the SDK."""
    assert rpc.UNKNOWN == protocol.UNKNOWN
    inner = PropertyValue({"key": PropertyValue("hidden", is_secret=True), "none": PropertyValue(None)})
    ours = {
        "map": PropertyValue(inner.value, is_secret=True),
        "list": PropertyValue([PropertyValue(1.5), PropertyValue(value=True), PropertyValue("text")]),
        "unknown": values.unknown(),
    }
    sent = protocol.to_wire(ours)
    assert protocol.from_wire(sent) == ours
    read = property_value.PropertyValue.unmarshal_map(sent)
    assert property_value.PropertyValue.marshal_map(read) == sent
    assert read["map"].is_secret
    assert isinstance(read["map"].value, Mapping)
    assert read["map"].value["key"].is_secret
    assert not read["list"].contains_secret()


def test_a_resource_s_type_and_name_are_in_its_urn() -> None:
    """Below a component the type has its parents before it; a name may hold the separator."""
    asked = DeleteRequest(urn="urn:pulumi:dev::project::a:b:C$command:local:Command::one::two", properties={})
    assert (asked.type, asked.name) == ("a:b:C$command:local:Command", "one::two")


def field(number: int, payload: bytes) -> bytes:
    return bytes([number << 3 | 2, len(payload)]) + payload


def test_buildkit_records_give_steps_and_lines() -> None:
    """A started step's name and a log's text come out; a completed step is not shown again."""
    started = field(3, b"[1/2] RUN true") + field(5, b"\x08\x01")
    completed = field(3, b"[2/2] RUN false") + field(5, b"\x08\x01") + field(6, b"\x08\x02")
    log = field(1, b"sha256:0") + b"\x18\x01" + field(4, b"first\nsecond\n")
    record = field(1, started) + field(1, completed) + field(2, b"") + field(3, log)
    assert buildkit.lines_of(record) == ["[1/2] RUN true", "first", "second"]


@pytest.mark.parametrize("record", [b"", b"\x0a", b"\xff\xff", b"\x0f", b"\x0a\x7f"])
def test_a_broken_buildkit_record_is_no_crash(record: bytes) -> None:
    """A cut or foreign record gives no lines: progress must never fail a build."""
    assert [line for line in buildkit.lines_of(record) if line] == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "a").write_text("a")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b").write_text("b")
    return tmp_path


def digest(folder: Path) -> str:
    return Context(str(folder), None).digest()


def test_the_hash_ignores_times_and_ignored_files(folder: Path) -> None:
    """Times, ignored files and a link's target's content do not count."""
    (folder / ".dockerignore").write_text("# a comment\n*.pyc\n**/cache\n")
    before = digest(folder)
    os.utime(folder / "a", (1, 1))
    (folder / "x.pyc").touch()
    (folder / "sub" / "cache").mkdir()
    (folder / "sub" / "cache" / "y").touch()
    assert digest(folder) == before


@pytest.mark.parametrize("change", ["content", "mode", "name", "dockerfile", "link"])
def test_the_hash_sees_every_other_change(folder: Path, change: str) -> None:
    """Content, mode, name, the Dockerfile and a link's target each change the hash."""
    (folder / "link").symlink_to("sub/b")
    before = digest(folder)
    if change == "content":
        (folder / "sub" / "b").write_text("c")
    elif change == "mode":
        (folder / "a").chmod(0o755)
    elif change == "name":
        (folder / "a").rename(folder / "c")
    elif change == "dockerfile":
        (folder / "Dockerfile").write_text("FROM scratch\nLABEL a=b\n")
    else:
        (folder / "link").unlink()
        (folder / "link").symlink_to("sub")
    assert digest(folder) != before


def test_an_ignored_dockerfile_is_still_sent(folder: Path) -> None:
    """A context that ignores everything but one file still carries its Dockerfile."""
    (folder / ".dockerignore").write_text("*\n!a\n")
    archive, name = Context(str(folder), None).archive()
    assert name == "Dockerfile"
    assert b"FROM scratch" in archive.read()


def test_a_missing_dockerfile_is_a_sentence(folder: Path) -> None:
    """A path inside the context instead of one from the program's folder gets the likely one named."""
    with pytest.raises(PluginError, match='could not open dockerfile at relative path "nowhere": stat nowhere: no'):
        Context(str(folder), "nowhere")
    with pytest.raises(PluginError, match=f'Try setting `dockerfile` to "{folder}/Dockerfile"'):
        Context(str(folder), "Dockerfile")
    with pytest.raises(PluginError, match='expected a relative Dockerfile path; got "/nowhere/Dockerfile" instead'):
        Context(str(folder), "/nowhere/Dockerfile")


REAL = "exec .venv/bin/python -m ops detach --endpoints real --by workflow"
SANDBOX = REAL.replace("real", "sandbox")


@pytest.mark.parametrize("text", [SANDBOX, "echo --endpoints real", "python -m opsworks --endpoints real", None, 1])
def test_a_command_of_the_sandbox_or_of_somebody_else_is_run(text: object) -> None:
    """Only a verb of a real stack is refused."""
    world.require_sandbox_command({"create": text, "update": text, "delete": text})


@pytest.mark.parametrize(
    "text",
    [
        REAL,
        "exec .venv/bin/python -m ops detach --by workflow \\\n  --endpoints real",
        "set -e\nexec .venv/bin/python -m ops detach \\\n  --endpoints \\\n  real\n",
        "--endpoints=real; python -m  ops detach",
        "python -m ops --endpoints 'real' detach",
    ],
)
@pytest.mark.parametrize("key", ["create", "update", "delete"])
def test_a_verb_of_a_real_stack_is_refused_wherever_it_stands(key: str, text: str) -> None:
    """Over several lines, in any order and quoting, in each of the three texts."""
    with pytest.raises(PluginError, match="a Command of this stack says `--endpoints real`, and a stand-in"):
        world.require_sandbox_command({"create": SANDBOX, key: text})


def test_every_operation_of_a_command_looks_at_all_of_its_texts() -> None:
    """Creating, changing and deleting refuse a real stack by a text that they would not run themselves."""
    provider = CommandProvider(no_log)
    urn = "urn:pulumi:dev::project::command:local:Command::one"
    for real in ("create", "update", "delete"):
        inputs = {key: PropertyValue(REAL if key == real else ":") for key in ("create", "update", "delete")}
        calls: list[Coroutine[Any, Any, Any]] = [
            provider.check(CheckRequest(urn=urn, new_inputs=inputs)),
            provider.create(CreateRequest(urn=urn, properties=inputs, preview=False)),
            provider.update(UpdateRequest(urn=urn, olds={}, news=inputs, preview=False)),
            provider.delete(DeleteRequest(urn=urn, properties=inputs)),
        ]
        for call in calls:
            with pytest.raises(PluginError, match="could not use the stand-in for Pulumi's command plugin"):
                asyncio.run(call)


def test_a_command_that_has_just_ended_does_not_spoil_a_cancel() -> None:
    """Its last lines are still being shown when all are killed: nothing is raised, and its output is whole."""

    async def scene() -> dict[str, str]:
        showing, shown = asyncio.Event(), asyncio.Event()

        async def slow_log(urn: str, text: str, *, status: bool = False) -> None:
            showing.set()
            await shown.wait()

        shell = Shell(slow_log)
        running = asyncio.create_task(shell.run("urn", "echo last", {}, {}))
        await showing.wait()
        (process,) = shell._running
        while process._transport._proc is not None:  # type: ignore[attr-defined]  # noqa: ASYNC110  there is no event
            await asyncio.sleep(0)
        shell.kill_all()
        shown.set()
        return await running

    assert asyncio.run(scene()) == {"stdout": "last", "stderr": ""}


async def no_log(urn: str, text: str, *, status: bool = False) -> None:
    """Take a line."""


def test_a_real_stack_is_refused_unless_somebody_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says what is real, what to install, and the one way past it for a rollback."""
    monkeypatch.delenv(world.ALLOW_VARIABLE, raising=False)
    with pytest.raises(PluginError, match=r"sandbox only\. Install the official Pulumi CLI.*ALLOW_STANDINS=1"):
        world.require_sandbox_command({"create": REAL})
    with pytest.raises(PluginError, match=r"docker plugin: the image is for the registry registry\.fly\.io, which"):
        world.require_loopback_registry("registry.fly.io")
    monkeypatch.setenv(world.ALLOW_VARIABLE, "1")
    world.require_sandbox_command({"create": REAL})
    world.require_loopback_registry("registry.fly.io")


@pytest.mark.parametrize(
    "server",
    [
        *("127.0.0.1", "127.0.0.1:5000", "http://127.0.0.1", "http://127.0.0.1:5000", "https://127.0.0.1:5000/v2/"),
        *("localhost", "localhost:5000", "http://LOCALHOST", "registry.localhost:5000"),
        *("::1", "[::1]", "[::1]:5000", "http://[::1]", "http://[::1]:5000", "", None),
    ],
)
def test_a_registry_on_this_machine_is_the_sandboxs(server: object) -> None:
    """Images are pushed there by the stand-in."""
    world.require_loopback_registry(server)


@pytest.mark.parametrize(
    "server",
    [
        *("registry.fly.io", "https://registry.fly.io", "registry.fly.io:443", "docker.io", "10.0.0.1:5000"),
        *("127.0.0.1.example.com", "localhost.example.com", "127.0.0.1@example.com", "http://[::1", "::2", "[fd00::1]"),
    ],
)
def test_a_registry_elsewhere_is_a_real_one(server: str) -> None:
    """Names that only begin like this machine, and what is no address at all, are refused."""
    with pytest.raises(PluginError, match="is not on this machine"):
        world.require_loopback_registry(server)
