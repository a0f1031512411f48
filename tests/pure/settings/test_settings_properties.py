"""Whatever stands in a stack file: it is read, or refused with sentences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from settings import Settings, SettingsError, parse
from settings.groups import GROUPS, SECRETS, GeneralSettings
from settings.problems import known_keys
from tests.support.stack_config import flat_config

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = [*GROUPS, *SECRETS, *known_keys(GeneralSettings), "github:owner", "nonsense"]


def texts_of(name: str) -> st.SearchStrategy[str]:
    """Texts that come near to what belongs there: JSON of any kind, known settings with any value, plain text."""
    known = known_keys(GROUPS[name]) if name in GROUPS else ["x"]
    groups = st.dictionaries(st.sampled_from(known), JSON, max_size=4)
    urls = st.sampled_from(["http://[", "https://x:99999/", "https://u:p@x/", "postgresql://u:p@h/d", "redis://["])
    return st.text(max_size=40) | urls | (JSON | groups | urls).map(json.dumps)


def outcome(config: dict[str, str], root: Path) -> Settings | str:
    try:
        return parse(config, stack="dev", owner="0123456789ab", root=root)
    except SettingsError as refused:
        return str(refused)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_text_gives_settings_or_sentences(data: st.DataObject, tmp_path: Path) -> None:
    """Each setting may hold anything: nothing but SettingsError comes out, and each problem names its key."""
    config = flat_config()
    for name in data.draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True)):
        config[name if ":" in name else f"prefect-fly:{name}"] = data.draw(texts_of(name))
    told = outcome(config, tmp_path)
    if isinstance(told, str):
        first, *problems, last = told.split("\n")
        assert first.startswith("could not use the configuration of stack 'dev':")
        assert last == "Correct Pulumi.dev.yaml."
        assert problems
        assert all(line.startswith("  - ") for line in problems), told


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=60) | JSON.map(lambda value: json.dumps({"config": value}).encode()))
def test_any_other_stack_file_is_read_or_named(content: bytes, tmp_path: Path) -> None:
    """A file beside it that is no stack file is a sentence with its name, never a traceback."""
    (tmp_path / "Pulumi.other.yaml").write_bytes(content)
    told = outcome(flat_config(), tmp_path)
    assert isinstance(told, Settings) or "Pulumi.other.yaml" in told


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def test_depth_and_long_numbers_are_refused_with_sentences(tmp_path: Path) -> None:
    """What Python's JSON reader cannot read, or reads although it is no JSON, is a problem of that setting."""
    wrong: dict[str, Any] = {
        "vm": '{"cpus": ' + "9" * 5000 + "}",
        "keys": '{"accepted": ' + nested(20_000) + "}",
        "logins": nested(20_000),
        "timeouts": '{"migrate": NaN}',
    }
    for name, text in wrong.items():
        told = outcome(flat_config(**{name: text}), tmp_path)
        assert isinstance(told, str)
        assert f"  - {name}" in told
        assert len(told) < 2000
