"""What is wrong with a stack's configuration, in our own sentences: pydantic finds it, people read this."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from clients.redaction import one_line, redacted
from settings.group import Group


class Problems(list[str]):
    """A list of sentences, a line each. Each begins with the key; none holds the value of a secret."""

    def append(self, sentence: str) -> None:
        """Add a sentence; what a stack file holds may be of any length, and have line breaks in it."""
        super().append(one_line(sentence))

    def add(self, key: str, reason: str) -> None:
        """Add a problem with `key`."""
        self.append(f"{key}: {reason}")

    def add_all(self, found: ValidationError, kind: type[Group], group: str) -> None:
        """Remember everything that pydantic found in one group.

        Args:
            found: the errors.
            kind: the group's model.
            group: its name in the stack file; empty for what stands outside of any group.
        """
        for error in found.errors(include_url=False, include_context=True):
            key, reason = _sentence(error, kind, group)
            if f"{key}: {reason}" not in self:
                self.add(key, reason)


def known_keys(kind: type[Group]) -> list[str]:
    """Return the names that a group has in the stack file, sorted."""
    return sorted(field.alias or name for name, field in kind.model_fields.items())


def _sentence(error: ErrorDetails, kind: type[Group], group: str) -> tuple[str, str]:
    place = list(error["loc"])
    if error["type"] == "string_type" and len(place) == 2 and isinstance(place[1], str):
        # A value inside a mapping, which people see as one setting.
        return _key(group, place[:1]), "give names with a text each"
    key, kind = _key(group, place), _innermost(kind, place)
    if error["type"] == "missing":
        return key, f"it is required. Set it{_for_example(kind, place, key)}"
    if error["type"] == "extra_forbidden":
        return key, f"no such setting. Known here: {', '.join(known_keys(kind))}"
    if place[-1:] == ["sha256"]:  # what stands there instead may be the key itself
        return key, "it must be 64 hex digits in lower case, as `python -m ops login --new` prints them"
    reason = _REASONS.get(error["type"])
    # A connection string that stands in the wrong place is a secret all the same.
    value = redacted(error["input"]) if isinstance(error["input"], str) else error["input"]
    if reason is None:
        return key, f"{value!r} cannot be used: {error['msg']}"
    return key, reason(value, error.get("ctx", {}))


def _key(group: str, place: list[str | int]) -> str:
    text = group
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def _innermost(kind: type[Group], place: Sequence[str | int]) -> type[Group]:
    """The model of the group that the last part of a place stands in."""
    for part in place[:-1]:
        field = next((f for f in kind.model_fields.values() if f.alias == part), None)
        inner = [*get_args(field.annotation), field.annotation] if field else []
        kind = next((each for each in inner if isinstance(each, type) and issubclass(each, Group)), kind)
    return kind


def _for_example(kind: type[Group], place: Sequence[str | int], key: str) -> str:
    examples = next((f.examples for f in kind.model_fields.values() if f.alias == place[-1]), None)
    if examples and len(place) > 1:  # in a list, which is written whole
        return f", for example {place[-1]}: {examples[0]}"
    return f', for example "pulumi config set --path prefect-fly:{key} {examples[0]}"' if examples else ""


def _is_not(what: str) -> Callable[[Any, Mapping[str, Any]], str]:
    return lambda value, _limits: f"{value!r} is not {what}"


def _choices(value: Any, limits: Mapping[str, Any]) -> str:
    # Pydantic writes the choices as 'a', 'b' or 'c'.
    choices = str(limits["expected"]).replace("'", "").replace(" or ", ", ")
    return f"{value!r} is not one of {choices}"


_REASONS: Mapping[str, Callable[[Any, Mapping[str, Any]], str]] = {
    "bool_type": _is_not("true or false"),
    "int_type": _is_not("a whole number"),
    "int_from_float": _is_not("a whole number"),
    "string_type": _is_not("text"),
    "tuple_type": _is_not('a list: write it as ["a", "b"]'),
    "dict_type": lambda _value, _limits: "give names with a value each",
    "float_type": _is_not("a number"),
    "model_type": lambda _value, _limits: "give a group of settings, not a single value",
    "literal_error": _choices,
    "greater_than_equal": lambda value, limits: f"{value} is below {limits['ge']}",
    "less_than_equal": lambda value, limits: f"{value} is above {limits['le']}",
    "multiple_of": lambda value, limits: f"{value} is not a multiple of {limits['multiple_of']}",
    "string_pattern_mismatch": lambda value, limits: (
        f'"{value}" does not look right (it must match {str(limits["pattern"]).removeprefix("^").removesuffix("$")})'
    ),
    "string_too_short": lambda _value, _limits: "it is empty",
    "value_error": lambda _value, limits: str(limits["error"]),
    "too_short": lambda _value, limits: f"it needs at least {limits['min_length']} entry",
    "too_long": lambda value, limits: f"it has {len(value)} entries, at most {limits['max_length']}",
}
