"""What the two Pythons of every command import before they do anything: the program, and the dynamic providers."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.commands import EMPTY

ROOT = Path(__file__).parents[2]
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
