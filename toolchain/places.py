"""Where the toolchain keeps what it made: one ignored folder, `.toolchain/`, in the checkout."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "toolchain"
KEEP = ROOT / ".toolchain"
BUILDS = KEEP / "builds"
BIN = KEEP / "bin"
PULUMI_HOME = KEEP / "pulumi-home"
LOCKS = KEEP / "locks"
SCRATCH = KEEP / "scratch"
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
