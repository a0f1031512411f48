"""Stands in for pulumi-resource-command: the one type `command:local:Command`.

Source of the behaviour: docs/toolchain.md lists it; tests/contract/plugins/ holds it against either plugin.
"""

from __future__ import annotations

import secrets
from typing import Any

from toolchain.pins import COMMAND_PLUGIN
from toolchain.standins import protocol
from toolchain.standins.protocol import Properties, PropertyValue
from toolchain.standins.server import Log, PluginError, serve
from toolchain.standins.shell import Shell
from toolchain.standins.values import (
    differences,
    plain_map,
    replacing,
    top_level,
    unknown,
    wrap,
)
from toolchain.standins.world import require_sandbox_command

COMMAND_TYPE = "command:local:Command"
_OUTPUTS = ("stdout", "stderr")
_UNSUPPORTED = ("assetPaths", "archivePaths")


class CommandProvider(protocol.Provider):
    """Runs the commands of a resource when the engine creates, updates or deletes it.

    Args:
        log: where a command's output is shown while it runs.
    """

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._shell = Shell(log)

    async def check(self, request: protocol.CheckRequest) -> protocol.CheckResponse:
        """Take the inputs as they are; refuse what this stand-in cannot do."""
        # Below a component the type carries its parents: prefectfly:x:Y$command:local:Command.
        if request.type.rpartition("$")[2] != COMMAND_TYPE:
            raise PluginError(f"could not check {request.name!r}: the stand-in plugin knows only {COMMAND_TYPE}.")
        known = plain_map(request.new_inputs)
        require_sandbox_command(known)
        failures = [
            protocol.CheckFailure(name, "the stand-in plugin does not return files; use the real plugin for that")
            for name in _UNSUPPORTED
            if name in request.new_inputs
        ]
        return protocol.CheckResponse(inputs=request.new_inputs, failures=failures)

    async def diff(self, request: protocol.DiffRequest) -> protocol.DiffResponse:
        """Any changed input is an update; changed triggers are a replacement."""
        old = plain_map({key: value for key, value in request.old_state.items() if key not in _OUTPUTS})
        found = differences(old, plain_map(request.new_inputs))
        changed = top_level(found)
        detailed = {path: replacing(diff) if path.startswith("triggers") else diff for path, diff in found.items()}
        return protocol.DiffResponse(
            replaces=[key for key in changed if key == "triggers"],
            diffs=changed,
            detailed_diff=detailed,
        )

    async def create(self, request: protocol.CreateRequest) -> protocol.CreateResponse:
        """Run `create`, if there is one; nothing in a preview."""
        identity = f"{request.name}{secrets.token_hex(4)}"
        if request.preview:
            return protocol.CreateResponse("", _foreseen(request.properties))
        inputs = plain_map(request.properties)
        outputs = {"stdout": "", "stderr": ""}
        require_sandbox_command(inputs)
        if "create" in inputs:
            outputs = await self._shell.run(request.urn, inputs["create"], inputs, outputs)
        return protocol.CreateResponse(identity, _state(request.properties, outputs))

    async def update(self, request: protocol.UpdateRequest) -> Properties:
        """Run `update`, or `create` when there is no `update`; nothing in a preview."""
        if request.preview:
            return _foreseen(request.news)
        inputs = plain_map(request.news)
        outputs = _previous(request.olds)
        command = inputs.get("update", inputs.get("create"))
        require_sandbox_command(inputs)
        if command is not None:
            outputs = await self._shell.run(request.urn, command, inputs, outputs)
        return _state(request.news, outputs)

    async def delete(self, request: protocol.DeleteRequest) -> None:
        """Run the `delete` that the state holds, with the directory, variables and input that the state holds."""
        inputs = plain_map(request.properties)
        require_sandbox_command(inputs)
        if "delete" in inputs:
            await self._shell.run(request.urn, inputs["delete"], inputs, _previous(request.properties))

    async def cancel(self) -> None:
        """End the commands that are running."""
        self._shell.kill_all()


def main(argv: list[str]) -> None:
    """Serve the plugin to the engine whose address is the first argument."""
    serve(argv, COMMAND_PLUGIN, CommandProvider)


def _previous(state: Properties) -> dict[str, str]:
    known: dict[str, Any] = plain_map({key: value for key, value in state.items() if key in _OUTPUTS})
    return {key: str(known.get(key, "")) for key in _OUTPUTS}


def _state(inputs: Properties, outputs: dict[str, str]) -> dict[str, PropertyValue]:
    # Not secret even where an input is: the real plugin passes secretness on to the output of the same name only.
    return {**inputs, **{key: wrap(text) for key, text in outputs.items()}}


def _foreseen(inputs: Properties) -> dict[str, PropertyValue]:
    return {**inputs, **dict.fromkeys(_OUTPUTS, unknown())}
