"""The configuration page and the JSON schema for editors, both made from the groups."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from settings.draft import NAMESPACE
from settings.group import Group
from settings.groups import GROUPS, SECRETS, SECRETS_BY_NAME, GeneralSettings, LoginSettings

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
        yield from _rows(prefix, _properties(kind))
    for key, doc in SECRETS.items():
        yield Row(key, "names with a secret each" if key in SECRETS_BY_NAME else "secret", "(none)", doc)


def _rows(prefix: str, properties: Mapping[str, Any]) -> Iterator[Row]:
    for key, entry in properties.items():
        default = _shown(entry["default"]) if "default" in entry else "(required)"
        path = f"{prefix}.{key}".removeprefix(".")
        yield Row(path, _allowed(entry), default, entry["description"])
        yield from _rows(f"{path}.<name>", _each(entry).get("properties", {}))


def _each(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what each name of a setting holds; empty when anything, or when it has no names."""
    each = entry.get("additionalProperties")
    return each if isinstance(each, dict) else {}


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
    return {
        **_properties(GeneralSettings),
        **{name: _object(kind) for name, kind in GROUPS.items()},
        **{key: {"description": doc, **_secret(key)} for key, doc in SECRETS.items()},
    }


def _secret(key: str) -> dict[str, Any]:
    secure = {"type": "object", "properties": {"secure": {"type": "string"}}, "required": ["secure"]}
    one = {**secure, "additionalProperties": False}
    # A whole object can be one secret as well.
    return {"anyOf": [one, {"type": "object", "additionalProperties": one}]} if key in SECRETS_BY_NAME else one


def _object(kind: type[Group]) -> dict[str, Any]:
    properties = _properties(kind)
    required = [key for key, entry in properties.items() if "default" not in entry]
    described: dict[str, Any] = {"type": "object", "description": kind.__doc__, "properties": properties}
    if required:
        described["required"] = required
    return {**described, "additionalProperties": False}


def _properties(kind: type[Group]) -> dict[str, Any]:
    """Return pydantic's own description of each setting, without what says nothing here."""
    schema = kind.model_json_schema(by_alias=True)
    return {key: _plain(_resolved(entry, schema)) for key, entry in schema["properties"].items()}


def _resolved(entry: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a setting with the groups that its names hold written out."""
    each = entry.get("additionalProperties")
    if not isinstance(each, dict) or "$ref" not in each:
        # Pydantic names "any JSON" as well.
        return dict(entry)
    group = schema["$defs"][each["$ref"].rpartition("/")[2]]
    if "properties" not in group:
        return {**entry, "additionalProperties": True}
    inner = {key: _plain(_resolved(found, schema)) for key, found in group["properties"].items()}
    return {**entry, "additionalProperties": {**_plain(group), "properties": inner}}


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
        return f"names with {_of_each(entry)} each"
    if "pattern" in entry:
        # A bar would end the cell of the table.
        return f"text like `{entry['pattern']}`".replace("|", "\\|")
    return {"boolean": "`true`, `false`", "string": "text", "number": "number"}[entry["type"]]


def _of_each(entry: Mapping[str, Any]) -> str:
    each = _each(entry)
    if "properties" in each:
        return "a group"
    return {"string": "a text", "integer": "a whole number"}.get(each.get("type", ""), "any value")


def _whole_number(entry: Mapping[str, Any]) -> str:
    low, high = entry.get("minimum"), entry.get("maximum")
    limits = f" {low} to {high}" if high is not None else f" from {low}" if low is not None else ""
    step = f", in steps of {entry['multipleOf']}" if "multipleOf" in entry else ""
    return f"whole number{limits}{step}"


def _shown(default: object) -> str:
    if default is None or default == "":
        return "(none)"
    if isinstance(default, list):
        return "`[" + ", ".join(map(str, default)) + "]`"
    return f"`{json.dumps(default)}`" if isinstance(default, bool | dict) else f"`{default}`"
