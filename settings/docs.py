"""The configuration page and the JSON schema for editors, both made from the groups."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from settings.draft import NAMESPACE
from settings.group import Group
from settings.groups import GROUPS, SECRETS, GeneralSettings, LoginSettings

_INTRO = """\
# Configuration

Namespace `prefect-fly`. Set with `pulumi config set --path prefect-fly:<setting> <value>`, secrets with
`pulumi config set --secret <setting>`, and lists whole, in the stack's file: a path to one item would leave holes for
the defaults. An editor with the YAML language server checks a stack file that begins with

    # yaml-language-server: $schema=docs/settings.schema.json

This table and [the JSON schema](settings.schema.json) are made by `python -m settings` from `settings/groups.py`.
Besides them, `github:owner` is required: the owner of the repository.

"""


@dataclass(frozen=True)
class Row:
    """One line of the configuration table."""

    key: str
    allowed: str
    default: str
    doc: str

    def __str__(self) -> str:
        """Return the line in Markdown."""
        return f"| `{self.key}` | {self.allowed} | {self.default} | {self.doc} |"


def write(folder: Path) -> None:
    """Write the configuration page and the JSON schema below `folder`."""
    (folder / "configuration.md").write_text(page(), encoding="utf-8")
    (folder / "settings.schema.json").write_text(schema_text(), encoding="utf-8")


def page() -> str:
    """Return the configuration page."""
    head = "| setting | allowed | default | meaning |\n|---|---|---|---|\n"
    return _INTRO + head + "\n".join(str(row) for row in rows()) + "\n"


def rows() -> Iterator[Row]:
    """Describe every setting."""
    kinds: dict[str, type[Group]] = {"": GeneralSettings, "logins[]": LoginSettings, **GROUPS}
    for prefix, kind in kinds.items():
        for key, entry in _properties(kind).items():
            default = _shown(entry["default"]) if "default" in entry else "(required)"
            yield Row(f"{prefix}.{key}".removeprefix("."), _allowed(entry), default, entry["description"])
    for key, doc in SECRETS.items():
        yield Row(key, "secret", "(none)", doc)


def schema_text() -> str:
    """Return the JSON schema as it is committed."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def schema() -> dict[str, Any]:
    """Describe a whole stack file, `Pulumi.<stack>.yaml`."""
    own = {f"{NAMESPACE}:{key}": entry for key, entry in _own_properties().items()}
    known = "|".join(key.partition(":")[2] for key in own)
    config: dict[str, Any] = {
        "type": "object",
        "properties": {"github:owner": {"type": "string", "description": "owner of the repository"}, **own},
        "patternProperties": {f"^{NAMESPACE}:(?!({known})$)": False},
        "required": ["github:owner", f"{NAMESPACE}:orchestrator", f"{NAMESPACE}:github"],
        "if": {"properties": {f"{NAMESPACE}:mode": {"const": "cloud"}}, "required": [f"{NAMESPACE}:mode"]},
        "then": {
            "required": [f"{NAMESPACE}:cloud"],
            "properties": {f"{NAMESPACE}:cloud": {"required": ["apiUrl"]}},
        },
        "else": {"required": [f"{NAMESPACE}:fly"]},
    }
    texts = {key: {"type": "string"} for key in ("encryptionsalt", "encryptedkey", "secretsprovider")}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Stack file of prefect-fly",
        "type": "object",
        "properties": {"config": config, "environment": {}, **texts},
        "required": ["config"],
        "additionalProperties": False,
    }


def _own_properties() -> dict[str, Any]:
    secret = {"type": "object", "properties": {"secure": {"type": "string"}}, "required": ["secure"]}
    return {
        **_properties(GeneralSettings),
        **{name: _object(kind) for name, kind in GROUPS.items()},
        **{key: {"description": doc, **secret, "additionalProperties": False} for key, doc in SECRETS.items()},
    }


def _object(kind: type[Group]) -> dict[str, Any]:
    properties = _properties(kind)
    required = [key for key, entry in properties.items() if "default" not in entry]
    described: dict[str, Any] = {"type": "object", "description": kind.__doc__, "properties": properties}
    if required:
        described["required"] = required
    return {**described, "additionalProperties": False}


def _properties(kind: type[Group]) -> dict[str, Any]:
    """Return pydantic's own description of each setting, without what says nothing here."""
    found = kind.model_json_schema(by_alias=True)["properties"]
    return {key: _plain(entry) for key, entry in found.items()}


def _plain(entry: Mapping[str, Any]) -> dict[str, Any]:
    options = [option for option in entry.get("anyOf", ()) if option != {"type": "null"}]
    merged = {**(options[0] if options else {}), **entry}
    return {key: value for key, value in merged.items() if key not in {"anyOf", "title"}}


def _allowed(entry: Mapping[str, Any]) -> str:
    if "enum" in entry:
        return ", ".join(f"`{choice}`" for choice in entry["enum"])
    if entry["type"] == "integer":
        return _whole_number(entry)
    if entry["type"] == "array":
        groups = "anyOf" in entry["items"]
        inner = "a name or a group" if groups else _allowed({"type": "string", **entry["items"]})
        return f"list, each: {inner}"
    if entry["type"] == "object":
        return "names with a text each"
    if "pattern" in entry:
        # A bar would end the cell of the table.
        return f"text like `{entry['pattern']}`".replace("|", "\\|")
    return {"boolean": "`true`, `false`", "string": "text"}[entry["type"]]


def _whole_number(entry: Mapping[str, Any]) -> str:
    low, high = entry.get("minimum"), entry.get("maximum")
    limits = f" {low} to {high}" if high is not None else f" from {low}" if low is not None else ""
    step = f", in steps of {entry['multipleOf']}" if "multipleOf" in entry else ""
    return f"whole number{limits}{step}"


def _shown(default: object) -> str:
    if default is None:
        return "(none)"
    if isinstance(default, list):
        return "`[" + ", ".join(map(str, default)) + "]`"
    return f"`{json.dumps(default)}`" if isinstance(default, bool | dict) else f"`{default}`"
