"""The engine's side of a dynamic provider, without the engine: what crosses the wire is what crosses it here.

Numbers become floats, None disappears, providers are pickled and loaded again, and a resource's olds are its outputs.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import dill  # type: ignore[import-untyped]
from pulumi.dynamic import DiffResult, ResourceProvider
from pulumi.dynamic.dynamic import serialize_provider


def over_the_wire(value: Any) -> Any:
    """Return `value` as protobuf delivers it."""
    if isinstance(value, Mapping):
        return {key: over_the_wire(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [over_the_wire(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


class CheckRefusedError(Exception):
    """The provider's check found something."""


@dataclass
class EngineSide:
    """Drives one resource of one provider class through its life, as the engine would.

    Attributes:
        id: empty before create and after delete.
        inputs: of the last successful operation.
        outputs: as the state would hold them.
    """

    provider_class: type[ResourceProvider]
    id: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)

    @property
    def provider(self) -> ResourceProvider:
        """Return the provider as the plugin process gets it: from its serialised form."""
        loaded = dill.loads(base64.b64decode(serialize_provider(self.provider_class())))  # noqa: S301  # made here
        assert isinstance(loaded, ResourceProvider)
        return loaded

    def check(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the checked inputs.

        Raises:
            CheckRefusedError: with all the reasons.
        """
        result = self.provider.check(self.inputs, over_the_wire(inputs))
        if result.failures:
            raise CheckRefusedError("; ".join(failure.reason for failure in result.failures))
        return result.inputs

    def diff(self, inputs: Mapping[str, Any]) -> DiffResult:
        """Return what an `up` with these inputs would do."""
        return self.provider.diff(self.id, dict(self.outputs), self.check(inputs))

    def create(self, inputs: Mapping[str, Any]) -> EngineSide:
        """Create the resource; on an exception there is none, as in the state."""
        checked = self.check(inputs)
        result = self.provider.create(dict(checked))
        self.id, self.inputs, self.outputs = result.id, checked, over_the_wire(result.outs)
        return self

    def up(self, inputs: Mapping[str, Any]) -> str:
        """Do what the engine would and return "same", "update" or "replace"."""
        diff = self.diff(inputs)
        if diff.replaces:
            assert diff.delete_before_replace
            self.delete()
            self.create(inputs)
            return "replace"
        if not diff.changes:
            return "same"
        checked = self.check(inputs)
        result = self.provider.update(self.id, dict(self.outputs), dict(checked))
        self.inputs, self.outputs = checked, over_the_wire(result.outs)
        return "update"

    def refresh(self) -> bool:
        """Read the resource; tell whether it is still there."""
        result = self.provider.read(self.id, dict(self.outputs))
        if result.id is None:
            assert result.outs == {}
            self.id, self.outputs = "", {}
            return False
        self.outputs = over_the_wire(result.outs)
        if result.inputs is not None:
            self.inputs = over_the_wire(result.inputs)
        return True

    def delete(self) -> None:
        """Delete the resource, knowing only its outputs."""
        self.provider.delete(self.id, dict(self.outputs))
        self.id, self.inputs, self.outputs = "", {}, {}
