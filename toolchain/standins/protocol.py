"""What the engine asks a plugin and is answered, in our own few classes, and their way over the wire.

The SDK has such classes as well, but loading it takes longer than all that a preview asks of a stand-in. Only the
messages that protoc generated are taken from it (`run.py` sees to that).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from google.protobuf.struct_pb2 import (  # type: ignore[import-untyped]  # it has no types
    NULL_VALUE,
    ListValue,
    Struct,
    Value,
)

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""Stands for a value that a preview cannot know."""
SIGNATURE = "4dabf18193072939515e22adb298388d"
"""The key that makes an object one of the engine's special values."""
SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105  the protocol's mark of a secret, no secret


@dataclass(frozen=True)
class PropertyValue:
    """None, bool, float, str, a list or a mapping of such values; any of them may be secret."""

    value: Any
    is_secret: bool = False


Properties = Mapping[str, PropertyValue]


@dataclass(frozen=True, kw_only=True)
class OfResource:
    """A request about one resource."""

    urn: str

    @property
    def type(self) -> str:
        """The type, with those of its parents: urn:pulumi:<stack>::<project>::<type>::<name>."""
        return self.urn.split("::", 3)[2]

    @property
    def name(self) -> str:
        """The logical name."""
        return self.urn.split("::", 3)[3]


@dataclass(frozen=True, kw_only=True)
class CheckRequest(OfResource):
    """Are these inputs right, and what belongs to them?"""

    new_inputs: Properties


@dataclass(frozen=True)
class CheckFailure:
    """What is wrong with one input."""

    property: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class CheckResponse:
    """The inputs to use."""

    inputs: Properties
    failures: Sequence[CheckFailure] = ()


@dataclass(frozen=True, kw_only=True)
class DiffRequest(OfResource):
    """Do these inputs change what the state holds?"""

    old_state: Properties
    new_inputs: Properties


class PropertyDiffKind(Enum):
    """How a property changed; the names are the protocol's."""

    ADD = auto()
    ADD_REPLACE = auto()
    DELETE = auto()
    DELETE_REPLACE = auto()
    UPDATE = auto()
    UPDATE_REPLACE = auto()


@dataclass(frozen=True)
class PropertyDiff:
    """A change of one property, of its input where `input_diff`."""

    kind: PropertyDiffKind
    input_diff: bool = False


@dataclass(frozen=True, kw_only=True)
class DiffResponse:
    """The changes, by the engine's property paths; those in `replaces` need a new resource."""

    detailed_diff: Mapping[str, PropertyDiff]
    diffs: Sequence[str]
    replaces: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class CreateRequest(OfResource):
    """Create a resource, or say what would come of it."""

    properties: Properties
    preview: bool


@dataclass(frozen=True)
class CreateResponse:
    """The id and the whole state of a new resource."""

    resource_id: str
    properties: Properties


@dataclass(frozen=True, kw_only=True)
class UpdateRequest(OfResource):
    """Change a resource, or say what would come of it."""

    olds: Properties
    news: Properties
    preview: bool


@dataclass(frozen=True, kw_only=True)
class DeleteRequest(OfResource):
    """Delete a resource, whose state this is."""

    properties: Properties


@dataclass
class Provider:
    """What a plugin does for one request each. Reading a resource gives it back as it is.

    Attributes:
        supports_preview: creates and updates are asked for in a preview as well.
    """

    supports_preview: bool = field(default=True, init=False)

    async def configure(self, variables: Mapping[str, str]) -> None:
        """Take the configuration, such as `docker:config:host`."""

    async def check(self, request: CheckRequest) -> CheckResponse:
        """Look at inputs."""
        raise NotImplementedError

    async def diff(self, request: DiffRequest) -> DiffResponse:
        """Compare state and inputs."""
        raise NotImplementedError

    async def create(self, request: CreateRequest) -> CreateResponse:
        """Create."""
        raise NotImplementedError

    async def update(self, request: UpdateRequest) -> Properties:
        """Change, and return the new state."""
        raise NotImplementedError

    async def delete(self, request: DeleteRequest) -> None:
        """Delete."""
        raise NotImplementedError

    async def cancel(self) -> None:
        """End what is running."""


def from_wire(struct: Struct) -> dict[str, PropertyValue]:
    """Read an object's properties."""
    return {key: _read(value) for key, value in struct.fields.items()}


def to_wire(properties: Properties) -> Struct:
    """Write an object's properties."""
    return Struct(fields={key: _write(value) for key, value in properties.items()})


def _read(value: Value) -> PropertyValue:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        fields = value.struct_value.fields
        if SIGNATURE in fields and fields[SIGNATURE].string_value == SECRET:
            return PropertyValue(_read(fields["value"]).value, is_secret=True)
        return PropertyValue(from_wire(value.struct_value))
    if kind == "list_value":
        return PropertyValue([_read(item) for item in value.list_value.values])
    return PropertyValue(None if kind in (None, "null_value") else getattr(value, str(kind)))


def _write(value: PropertyValue) -> Value:
    inner = _write_plain(value.value)
    if not value.is_secret:
        return inner
    return Value(struct_value=Struct(fields={SIGNATURE: Value(string_value=SECRET), "value": inner}))


def _write_plain(value: Any) -> Value:
    match value:
        case None:
            return Value(null_value=NULL_VALUE)
        case bool():
            return Value(bool_value=value)
        case float():
            return Value(number_value=value)
        case str():
            return Value(string_value=value)
        case Mapping():
            return Value(struct_value=to_wire(value))
        case Sequence():
            return Value(list_value=ListValue(values=[_write(item) for item in value]))
    raise TypeError(f"could not send a {type(value).__name__} to the engine: it is no property value.")
