from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from clients.fly.operations.one_off import OneOffResult
from clients.redaction import redacted
from ops.migrate import failure
from ops.migrate_exit_codes import MEANINGS, OK

IMAGE = "registry.fly.io/captionacc-prefect@sha256:0"
EXIT_CODES = Path(__file__).parents[3] / "docker/prefect/prefect_server/exit_codes.py"


def ended(exit_code: int, *log: str, oom_killed: bool = False) -> OneOffResult:
    return OneOffResult(machine_id="m", exit_code=exit_code, oom_killed=oom_killed, log_tail=log)


def test_the_table_has_exactly_the_codes_of_the_image() -> None:
    """Every exit code that the image's migrate can end with has a meaning here, and no other one has."""
    spec = importlib.util.spec_from_file_location("image_exit_codes", EXIT_CODES)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert {int(code) for code in module.ExitCode} == MEANINGS.keys() | {OK}


def test_a_failure_says_cause_code_advice_and_shows_the_log() -> None:
    """The image's own sentence, our advice and the log's end stand together; the server was not touched."""
    text = failure("captionacc-prefect", IMAGE, ended(12, "starting", "migrate: the password was refused."))
    assert text == (
        'could not migrate database of app "captionacc-prefect": the database refused the user name or password: the '
        'password was refused (exit code 12). Set the right one with "pulumi config set --secret databaseUrl". The '
        "running server was not touched.\nEnd of the log of migrate:\n    starting\n    migrate: the password was "
        "refused."
    )


@pytest.mark.parametrize("exit_code", [2, 126, 127])
def test_an_image_without_our_entry_point_is_named(exit_code: int) -> None:
    """An exit code that our image never uses points at image.reference."""
    text = failure("app", IMAGE, ended(exit_code, "sh: migrate: not found"))
    assert "our image never uses" in text
    assert "image.reference needs its entry point" in text


def test_an_unexplained_exit_code_1_may_be_a_foreign_image() -> None:
    """Exit code 1 with a log that lacks our sentence is told as an image without our entry point."""
    assert "without a word of ours" in failure("app", IMAGE, ended(1, "Usage: prefect [OPTIONS]"))


def test_running_out_of_memory_is_told() -> None:
    """A machine that was killed for its memory says so instead of an exit code's meaning."""
    assert "it ran out of memory (exit code 137)" in failure("app", IMAGE, ended(137, oom_killed=True))


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (
            "to postgresql+asyncpg://u:hunter2@db.test/x",
            "to postgresql+asyncpg://u:[cut out]@db.test/x",
        ),
        ("raw postgres://u:p@ss/w:rd@db.test/x failed", "raw postgres://u:[cut out]@db.test/x failed"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer [cut out]"),
        ('{"password": "hunter2", "user": "u"}', '{"password": "[cut out]", "user": "u"}'),
        ("key pf_0123456789abcdefghij was used", "key [cut out] was used"),
        ("GET https://db.test/ok 200", "GET https://db.test/ok 200"),
    ],
)
def test_log_lines_lose_what_looks_like_a_credential(line: str, shown: str) -> None:
    """URL passwords, Authorization values, secret-named values and keys are cut out; the rest stays readable."""
    assert redacted(line) == shown
