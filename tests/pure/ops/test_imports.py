"""What a verb loads: the way back must work when the program's own packages are broken."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_verbs_load_neither_pulumi_nor_pydantic() -> None:
    """All verbs imported in a fresh interpreter; settings are loaded only where --stack is given."""
    look = "import sys, ops.__main__ as o; [*map(o.module_of, o.VERBS)]"
    assert loaded(look, "pulumi", "pydantic", "settings") == []


def test_a_verb_loads_no_other_verb() -> None:
    """What is broken in another verb, or slow to load, does not touch a rollback."""
    look = "import sys, ops.__main__ as o; o.build_parser(['detach'])"
    assert loaded(look, "ops.detach", "ops.backup", "ops.doctor", "ops.audit") == ["ops.detach"]


def loaded(code: str, *modules: str) -> list[str]:
    """Which of the modules a fresh interpreter has loaded after the code."""
    argv = [sys.executable, "-c", f"{code}; print(*sorted({set(modules)} & set(sys.modules)))"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=600, check=True)
    return done.stdout.split()
