"""Just enough GraphQL for flyctl's queries: selections, aliases, arguments, variables, fragments.

There is no schema. An object is a mapping from field names to values, or to functions of the field's arguments; a
field that is not in it is unknown, and unknown fields are said to be so instead of being null.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_TOKEN = re.compile(r'\.\.\.|[{}()\[\]:!=@$]|"(?:\\.|[^"\\])*"|-?\d+(?:\.\d+)?|\w+')
_IGNORED = re.compile(r'"""[\s\S]*?"""|#[^\n]*')


class UnknownFieldError(LookupError):
    """A query asks for something the sandbox does not know; the text names it."""


class SyntaxProblemError(ValueError):
    """A query cannot be read."""


@dataclass
class Field:
    """One selected field; `fragment` for a spread of a named one, and no name for an inline one."""

    name: str
    alias: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    selections: list[Field] = field(default_factory=list)
    fragment: str = ""


@dataclass(frozen=True)
class _Variable:
    name: str


@dataclass
class Document:
    """One operation with its fragments."""

    kind: str
    selections: list[Field]
    fragments: dict[str, list[Field]]


def parse(text: str) -> Document:
    """Read a document with one operation.

    Raises:
        SyntaxProblemError: it is none.
    """
    parser = _Parser(_TOKEN.findall(_IGNORED.sub("", text)))
    try:
        return parser.document()
    except IndexError as problem:
        raise SyntaxProblemError("the query ends too early") from problem


class _Parser:
    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0

    def document(self) -> Document:
        kind, selections = "query", []
        fragments: dict[str, list[Field]] = {}
        while self._at < len(self._tokens):
            if self._tokens[self._at] == "fragment":
                name = self._tokens[self._at + 1]
                self._skip_to("{")
                fragments[name] = self._selections()
            else:
                if self._tokens[self._at] != "{":
                    kind = self._tokens[self._at]
                    self._skip_to("{")
                selections = self._selections()
        return Document(kind, selections, fragments)

    def _next(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]

    def _peek(self) -> str:
        return self._tokens[self._at]

    def _expect(self, token: str) -> None:
        found = self._next()
        if found != token:
            raise SyntaxProblemError(f"expected {token}, found {found}")

    def _skip_to(self, token: str) -> None:
        depth = 0  # variable definitions may hold default objects
        while self._peek() != token or depth:
            depth += {"(": 1, ")": -1}.get(self._next(), 0)

    def _selections(self) -> list[Field]:
        self._expect("{")
        found = []
        while self._peek() != "}":
            found.append(self._spread() if self._peek() == "..." else self._field())
        self._next()
        return found

    def _spread(self) -> Field:
        self._expect("...")
        if self._peek() in {"on", "{", "@"}:
            self._skip_to("{")
            return Field(name="", selections=self._selections())
        return Field(name="", fragment=self._next())

    def _field(self) -> Field:
        name = alias = self._next()
        if self._peek() == ":":
            self._next()
            name = self._next()
        result = Field(name=name, alias=alias)
        if self._peek() == "(":
            self._next()
            while self._peek() != ")":
                argument = self._next()
                self._expect(":")
                result.arguments[argument] = self._value()
            self._next()
        if self._peek() == "{":
            result.selections = self._selections()
        return result

    def _value(self) -> Any:
        word = self._next()
        if word == "$":
            return _Variable(self._next())
        if word == "{":
            return self._object()
        if word == "[":
            items = []
            while self._peek() != "]":
                items.append(self._value())
            self._next()
            return items
        if word.startswith('"'):
            return word[1:-1].encode().decode("unicode_escape")
        constants = {"true": True, "false": False, "null": None}
        if word in constants:
            return constants[word]
        return int(word) if word.lstrip("-").isdigit() else word

    def _object(self) -> dict[str, Any]:
        result = {}
        while self._peek() != "}":
            name = self._next()
            self._expect(":")
            result[name] = self._value()
        self._next()
        return result


class Execution:
    """Answers one document from a root object."""

    def __init__(self, document: Document, variables: Mapping[str, Any]) -> None:
        self._document = document
        self._variables = variables

    async def answer(self, root: Mapping[str, Any]) -> dict[str, Any]:
        """Return the data.

        Raises:
            UnknownFieldError: a selected field is not in its object.
        """
        return await self._object(root, self._document.selections, self._document.kind)

    async def _object(self, value: Mapping[str, Any], selections: list[Field], where: str) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for selected in selections:
            if selected.fragment:
                nested = self._document.fragments[selected.fragment]
                result |= await self._object(value, nested, where)
            elif not selected.name:
                result |= await self._object(value, selected.selections, where)
            elif selected.name == "__typename":
                result[selected.alias] = value.get("__typename", "")
            else:
                result[selected.alias] = await self._field(value, selected, where)
        return result

    async def _field(self, value: Mapping[str, Any], selected: Field, where: str) -> Any:
        if selected.name not in value:
            raise UnknownFieldError(f"{where}.{selected.name}")
        found = value[selected.name]
        if callable(found):
            found = found(**{name: self._resolved(item) for name, item in selected.arguments.items()})
            if inspect.isawaitable(found):
                found = await found
        return await self._completed(found, selected, f"{where}.{selected.name}")

    async def _completed(self, value: Any, selected: Field, where: str) -> Any:
        if isinstance(value, list):
            return [await self._completed(item, selected, where) for item in value]
        if isinstance(value, Mapping) and selected.selections:
            return await self._object(value, selected.selections, where)
        return value

    def _resolved(self, value: Any) -> Any:
        if isinstance(value, _Variable):
            return self._variables.get(value.name)
        if isinstance(value, dict):
            return {name: self._resolved(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self._resolved(item) for item in value]
        return value
