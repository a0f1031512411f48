"""The texts of Commands, which stand in users' state, against the verbs that run them."""

from __future__ import annotations

import shlex

import pytest

from components.ops_command import render
from ops.__main__ import build_parser
from tests.support.recording import Registration, run_program
from tests.support.stack_config import flat_config

CLOUD = {
    "mode": "cloud",
    "cloud": {"apiUrl": "https://api.prefect.cloud/api/accounts/a/workspaces/w"},
    "cloudApiKey": "pnu_secret",
}


def commands(**changes: object) -> list[Registration]:
    return run_program(flat_config(**changes)).of("command:local:Command")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        CLOUD,
        {"orchestrator": {"redeploy": "machines", "rollback": "machines"}},
        {"github": {"workflowInputs": {"a b": "c 'd' $e"}}},
    ],
    ids=["self-hosted", "cloud", "machines", "quoted inputs"],
)
def test_every_text_is_understood_by_the_verb_it_names(changes: dict[str, object]) -> None:
    """What the program writes into the state, the verbs can read: no unknown flag, no missing one, quoting intact."""
    for command in commands(**changes):
        text = command.inputs.get("create") or command.inputs["delete"]
        words = shlex.split(text)
        assert words[:4] == ["exec", ".venv/bin/python", "-m", "ops"]
        parsed = build_parser().parse_args(words[4:])
        if getattr(parsed, "workflow", None) and "github" in changes:
            assert parsed.inputs == {"a b": "c 'd' $e"}


def test_texts_are_quoted_and_ordered() -> None:
    """Shell characters stay data, None is left out, numbers from the state lose their fraction."""
    text = render("verb", {"a": "x y;$(z)", "b": None, "c": {"K2": "v", "K1": "'"}, "d": 5.0, "e": 2.5})
    words = [
        "exec .venv/bin/python -m ops verb",
        "--a 'x y;$(z)'",
        "--c " + shlex.quote("K1='"),
        "--c K2=v",
        "--d 5 --e 2.5",
    ]
    assert text == " ".join(words)
