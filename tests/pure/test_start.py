"""What the Pythons of a command import before they do anything, and how they end."""

from __future__ import annotations

import ast
import importlib
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pulumi.dynamic import ResourceProvider

from bench.commands import EMPTY
from providers.lifecycle import Provider
from tests.support.recording import run_program
from tests.support.stack_config import flat_config

ROOT = Path(__file__).parents[2]
MANY = 10_000
_OURS = {each.stem for each in ROOT.iterdir()}


def _program() -> str:
    """The imports of the program without the rest of it."""
    tree = ast.parse((ROOT / "__main__.py").read_text(encoding="utf-8"))
    return "\n".join(ast.unparse(each) for each in tree.body if isinstance(each, ast.Import | ast.ImportFrom))


def _providers() -> str:
    names = sorted(path.stem for path in (ROOT / "providers").glob("[!_]*.py"))
    return f"import {', '.join(f'providers.{name}' for name in names)}"


def _packages(source: str) -> set[str]:
    """The packages of others that a fresh Python has loaded after these imports."""
    code = f"{source}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split()) - sys.stdlib_module_names - _OURS


@pytest.mark.parametrize("source", [_program(), _providers()], ids=["program", "providers"])
def test_that_nothing_loads_requests_before_it_sends(source: str) -> None:
    """Neither a program nor a provider loads requests by being imported: a preview sends nothing through it."""
    loaded = _packages(source)
    assert "pulumi" in loaded
    assert not loaded & {"requests", "urllib3", "charset_normalizer"}


def test_that_the_bench_compares_with_the_same_packages() -> None:
    """The empty program of the bench loads exactly the packages of others that ours loads."""
    assert _packages(EMPTY) == _packages(_program())


def _frozen_at_the_end_of(source: str) -> int:
    """How many objects a fresh Python leaves out of its last look for garbage."""
    code = f"import atexit, gc, sys\natexit.register(lambda: print(gc.get_freeze_count()))\n{source}"
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
    )
    return int(done.stdout.split()[-1])


def test_that_a_program_ends_without_looking_for_garbage() -> None:
    """A program keeps what it imported from Python's last look for garbage, which would take 0.3 s of each command."""
    assert run_program(flat_config()).kept > MANY


def test_that_the_engine_is_not_told_what_nobody_reads() -> None:
    """The SDK's debug lines about our resources, for which the program would wait, are not sent; a warning is."""
    logins = [{"name": "anna", "rights": "viewer", "expires": "2001-01-31"}]
    program = run_program(flat_config(logins=logins))
    lines = [record.getMessage() for record in program.said if record.levelno == logging.DEBUG]
    assert len(lines) < len(program.resources)  # of the stack itself, which is made before the program runs
    assert any("anna" in record.getMessage() for record in program.said if record.levelno == logging.WARNING)


@pytest.mark.parametrize(
    "source",
    [
        "import runpy\nsys.argv[1:] = ['status', '--help']\nrunpy.run_module('ops', run_name='__main__')",
        "from providers.fly_app import FlyAppProvider\nFlyAppProvider().configure(None)",
    ],
    ids=["verb", "providers"],
)
def test_that_what_an_update_waits_for_ends_without_looking_for_garbage(source: str) -> None:
    """A verb's process and that of the dynamic providers do the same: an update waits for their ends."""
    assert _frozen_at_the_end_of(source) > MANY


def test_that_all_our_providers_do_so() -> None:
    """Each provider class is one of ours, whose process ends like that."""
    for path in (ROOT / "providers").glob("[!_]*.py"):
        importlib.import_module(f"providers.{path.stem}")
    ours = [each for each in ResourceProvider.__subclasses__() if each.__module__.startswith("providers.")]
    assert ours == [Provider]
