"""What a verb loads: the way back must work when the program's own packages are broken."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_verbs_load_neither_pulumi_nor_pydantic() -> None:
    """All verbs imported in a fresh interpreter; settings are loaded only where --stack is given."""
    code = "import sys, ops.__main__; print(sorted({'pulumi', 'pydantic', 'settings'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=600, check=True
    )
    assert done.stdout.strip() == "[]"
