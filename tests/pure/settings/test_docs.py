"""The configuration page and the schema that editors check stack files with."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import settings
from settings import docs
from settings.group import Group
from settings.groups import GROUPS, SECRETS, GeneralSettings, LoginSettings
from settings.problems import known_keys
from settings.server_groups import ChannelSettings, GlobalLimitSettings, WorkPoolSettings

ROOT = Path(settings.__file__).parents[1]


def stack_file(stack: str) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8"))
    return read


def complaints(file: dict[str, Any]) -> list[str]:
    schema = docs.schema()
    jsonschema.Draft7Validator.check_schema(schema)
    return [error.message for error in jsonschema.Draft7Validator(schema).iter_errors(file)]


def test_the_page_and_the_schema_are_as_made() -> None:
    """They are made by `python -m settings`, not remembered."""
    assert (ROOT / "docs/configuration.md").read_text(encoding="utf-8") == docs.page()
    assert (ROOT / "docs/settings.schema.json").read_text(encoding="utf-8") == docs.schema_text()


def test_every_setting_is_on_the_page_with_what_it_may_be() -> None:
    """A row for each key of each group and each secret, with its allowed values and its meaning."""
    rows = {row.key: row for row in docs.rows()}
    names = {f"{group}.{field.alias}" for group, kind in GROUPS.items() for field in kind.model_fields.values()}
    names |= {f"logins[].{key}" for key in known_keys(LoginSettings)}
    names |= {str(field.alias) for field in GeneralSettings.model_fields.values()} | set(SECRETS)
    assert names == {key for key in rows if "<name>" not in key}
    inner: dict[str, type[Group]] = {"alerts.channels": ChannelSettings, "workPools": WorkPoolSettings}
    inner["concurrencyLimits.global"] = GlobalLimitSettings
    for path, kind in inner.items():
        expected = {f"{path}.<name>.{field.alias}" for field in kind.model_fields.values()}
        assert expected == {key for key in rows if key.startswith(f"{path}.<name>")}
    assert all(row.allowed and row.doc for row in rows.values())
    assert rows["vm.cpuKind"].allowed == "`shared`, `performance`"
    assert rows["vm.memoryMb"].allowed == "whole number 256 to 131072, in steps of 256"


@pytest.mark.parametrize("stack", ["prod", "staging", "sandbox"])
def test_the_shipped_stack_files_are_valid_and_name_the_schema(stack: str) -> None:
    """An editor finds the schema by the first line, and nothing to complain about."""
    first = (ROOT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=docs/settings.schema.json"
    assert complaints(stack_file(stack)) == []


def config(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    file = copy.deepcopy(stack_file("prod"))
    change(file["config"])
    return file


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.pop("github:owner"), "'github:owner' is a required property"),
        (lambda c: c.pop("prefect-fly:fly"), "'prefect-fly:fly' is a required property"),
        (lambda c: c["prefect-fly:fly"].pop("org"), "'org' is a required property"),
        (lambda c: c.update({"prefect-fly:flyy": {}}), "False schema does not allow"),
        (lambda c: c["prefect-fly:fly"].update(regon="ewr"), "'regon' was unexpected"),
        (lambda c: c["prefect-fly:fly"].update(region="ewr2"), "'ewr2' does not match '^[a-z]{3}$'"),
        (lambda c: c["prefect-fly:vm"].update(memoryMb=300), "300 is not a multiple of 256"),
        (lambda c: c["prefect-fly:vm"].update(cpuKind="big"), "'big' is not one of ['shared', 'performance']"),
        (lambda c: c["prefect-fly:uptime"].update(regions=[]), "[] should be non-empty"),
        (lambda c: c["prefect-fly:uptime"].update(regions=["us", "us"]), "has non-unique elements"),
        (lambda c: c.update({"prefect-fly:databaseUrl": "postgresql://u:p@h/d"}), "is not of type 'object'"),
        (lambda c: c.update({"prefect-fly:logins": ["a", {"name": "b", "right": "viewer"}]}), "is not valid under any"),
        (lambda c: c.update({"prefect-fly:mode": "cloud"}), "'prefect-fly:cloud' is a required property"),
    ],
)
def test_an_editor_complains_about_what_the_program_would_refuse(
    change: Callable[[dict[str, Any]], object], said: str
) -> None:
    """Missing, unknown, out of range, not anchored, and secrets that are not encrypted."""
    assert any(said in complaint for complaint in complaints(config(change)))


def test_a_secret_of_the_cli_is_accepted() -> None:
    """What `pulumi config set --secret` writes, and the salt beside it."""
    file = config(lambda c: c.update({"prefect-fly:databaseUrl": {"secure": "v1:abc"}}))
    assert complaints({**file, "encryptionsalt": "v1:abc"}) == []


def test_secrets_by_name_are_accepted_as_the_cli_writes_them() -> None:
    """With --path each name has a secret of its own; without it the whole is one; a clear one is refused."""
    one = {"secure": "v1:abc"}
    for value, fine in (({"ops": one}, True), (one, True), ({"ops": "https://h/x"}, False)):
        file = config(lambda c, value=value: c.update({"prefect-fly:alertAddresses": value}))  # type: ignore[misc]
        assert (complaints({**file, "encryptionsalt": "v1:abc"}) == []) is fine


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("alerts", {"channels": {"ops": {"kind": "fax", "hears": ["failed"]}}}, "'fax' is not one of"),
        ("alerts", {"channels": {"ops": {"kind": "slack"}}}, "'hears' is a required property"),
        (
            "alerts",
            {"channels": {"ops": {"kind": "slack", "hears": ["failed"], "loud": True}}},
            "'loud' was unexpected",
        ),
        ("workPools", {"p": {"concurrencyLimit": -1}}, "-1 is less than the minimum of 0"),
        ("concurrencyLimits", {"global": {"db": {}}}, "'limit' is a required property"),
        ("concurrencyLimits", {"tags": {"gpu": "one"}}, "'one' is not of type 'integer'"),
    ],
)
def test_an_editor_sees_into_names_with_a_group_each(key: str, value: object, said: str) -> None:
    """What stands below a name of one's own is checked like any setting."""
    found = complaints(config(lambda c: c.update({f"prefect-fly:{key}": value})))
    assert any(said in complaint for complaint in found), found
