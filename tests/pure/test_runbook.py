"""The runbook can be followed: every alert leads to a section, and what it says to type exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from ops.__main__ import build_parser
from settings.groups import GROUPS, SECRETS
from settings.problems import known_keys

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
RULES = [
    rule
    for group in yaml.safe_load((ROOT / "monitoring" / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]


def commands() -> list[str]:
    """Every command on the page: lines of code blocks, and code in a line that begins with a program's name."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    lines = [line.partition(" #")[0].strip() for block in blocks for line in block.splitlines()]
    inline = re.findall(r"`((?:pulumi|python -m ops) [^`]+)`", re.sub(r"```sh\n.*?```", "", PAGE, flags=re.DOTALL))
    return [line.removeprefix('export PREFECT_FLY_VERIFY_KEY="$(').removesuffix(')"') for line in [*lines, *inline]]


COMMANDS = commands()


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_every_alert_leads_to_its_section(rule: dict[str, dict[str, str]]) -> None:
    """The annotation of the alert names a heading of the page that is the alert's own."""
    name = str(rule["alert"])
    assert rule["annotations"]["runbook"] == f"docs/runbook.md#{name.lower()}"
    assert f"\n### {name}\n" in PAGE


def test_no_section_is_about_an_alert_that_does_not_exist() -> None:
    """A rule that was renamed takes its section along."""
    assert set(re.findall(r"^### (Prefect\w+)$", PAGE, re.MULTILINE)) == {rule["alert"] for rule in RULES}


@pytest.mark.parametrize("command", [each for each in COMMANDS if each.startswith("python -m ops")])
def test_every_verb_and_flag_exists(command: str) -> None:
    """The parser of the real verbs takes each command as it stands."""
    build_parser().parse_args(shlex.split(command)[3:])


@pytest.mark.parametrize("command", [each for each in COMMANDS if "config set" in each])
def test_every_setting_exists(command: str) -> None:
    """Each path that is set is one of the stack file's, and secrets are set as such."""
    path = next(word for word in shlex.split(command)[3:] if not word.startswith("-")).removeprefix("prefect-fly:")
    group, _, key = path.partition(".")
    if "--secret" in command:
        assert path in SECRETS
    else:
        assert key.partition("[")[0] in known_keys(GROUPS[group])


def test_nothing_else_is_typed() -> None:
    """Only programs whose commands are checked; those of the Pulumi CLI are in tests/engine/docs."""
    assert COMMANDS
    assert not [each for each in COMMANDS if not each.startswith(("python -m ops ", "pulumi "))]
