"""The length gate: `python -m toolchain.lengths` names every file and function that is longer than the house allows."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from toolchain.places import ROOT

FILE_LIMIT = 400
FOLDER_LIMITS = {"providers": 200, "components": 300}
FUNCTION_LIMIT = 60
"""Lines of a function or constructor, its docstring included."""
PROGRAM_LIMIT = ("__main__.py", 40)


def main() -> int:
    """Print what is too long; exit code 1 if anything is."""
    complaints = [text for path in _python_files() for text in complaints_about(path)]
    print("\n".join(complaints) if complaints else "lengths: all within the limits")
    return 1 if complaints else 0


def complaints_about(path: Path, root: Path = ROOT) -> Iterator[str]:
    """One sentence per limit that a file breaks."""
    name = path.relative_to(root)
    text = path.read_text()
    length, limit = len(text.splitlines()), file_limit(name)
    if length > limit:
        yield f"{name}: {length} lines, at most {limit}"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LIMIT:
                yield f"{name}:{node.lineno}: {node.name} has {lines} lines, at most {FUNCTION_LIMIT}"


def file_limit(name: Path) -> int:
    """The most lines a file of that path may have."""
    if str(name) == PROGRAM_LIMIT[0]:
        return PROGRAM_LIMIT[1]
    return FOLDER_LIMITS.get(name.parts[0], FILE_LIMIT)


def _python_files() -> list[Path]:
    argv = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"]
    listed = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for path in (ROOT / name for name in sorted(set(listed.splitlines()))) if path.is_file()]


if __name__ == "__main__":
    sys.exit(main())
