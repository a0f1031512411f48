"""What every group of settings is made of."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

NAME = r"^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]?$"
REGION = r"^[a-z]{3}$"
LOGIN = "^[A-Za-z0-9_][A-Za-z0-9_-]{0,47}$"
URL = r"^https?://[^/\s]+.*$"


def setting(default: Any = ..., *, doc: str, example: str | None = None, **limits: Any) -> Any:
    """Declare a setting; no `default` makes it required, `limits` are those of pydantic's Field."""
    return Field(default, description=doc, examples=[example] if example else None, **limits)


class Group(BaseModel):
    """One group of a stack file, spelled there in camelCase."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        strict=True,
        validate_by_alias=True,
        validate_by_name=True,
    )
