"""The house rules that no linter checks: `python -m toolchain.house` names everything that breaks one.

Files and functions stay short, modules do not import each other in a circle, and product code is not written twice.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from toolchain.places import ROOT

FILE_LIMIT = 300
FOLDER_LIMITS = {"providers": 200}
FILE_LIMITS = {"__main__.py": 40}
"""DESIGN: the program's own file shows the whole program on one page."""
FUNCTION_LIMIT = 60
CONSTRUCTOR_LIMIT = 40
"""Lines, the signature and the docstring included."""

PRODUCT = ("settings", "components", "providers", "clients", "ops", "outputs.py", "costs.py")
SHARED_LINES = 6
"""So many lines in a row that stand twice in product code are one function."""


def main() -> int:
    """Print what breaks a rule; exit code 1 if anything does."""
    files = {path.relative_to(ROOT): path.read_text(encoding="utf-8") for path in _python_files()}
    complaints = [text for name, source in files.items() for text in complaints_about(name, source)]
    complaints += [f"import circle: {' -> '.join(circle)}" for circle in circles(files)]
    product = {name: source for name, source in files.items() if _is_product(name)}
    complaints += [f"{SHARED_LINES} lines stand twice: {first} and {second}" for first, second in shared(product)]
    print("\n".join(complaints) if complaints else "house: all rules hold")
    return 1 if complaints else 0


def complaints_about(name: Path, source: str) -> Iterator[str]:
    """One sentence for each limit of length that a file breaks."""
    length, limit = len(source.splitlines()), file_limit(name)
    if length > limit:
        yield f"{name}: {length} lines, at most {limit}"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            most = CONSTRUCTOR_LIMIT if node.name == "__init__" else FUNCTION_LIMIT
            if lines > most:
                yield f"{name}:{node.lineno}: {node.name} has {lines} lines, at most {most}"


def file_limit(name: Path) -> int:
    """The most lines a file of that path may have."""
    return FILE_LIMITS.get(str(name), FOLDER_LIMITS.get(name.parts[0], FILE_LIMIT))


def circles(files: Mapping[Path, str]) -> list[list[str]]:
    """Return the shortest import circle through each module that is in one, each circle once."""
    modules = {_module(name): source for name, source in files.items()}
    imports = {name: _imports(name, source, modules) for name, source in modules.items()}
    found: dict[frozenset[str], list[str]] = {}
    for module in imports:
        circle = _way_back(module, imports)
        if circle:
            found.setdefault(frozenset(circle), circle)
    return list(found.values())


def _way_back(start: str, imports: Mapping[str, set[str]]) -> list[str]:
    waiting, seen = [[start]], {start}
    while waiting:
        way = waiting.pop(0)
        for following in sorted(imports[way[-1]]):
            if following == start:
                return [*way, start]
            if following not in seen:
                seen.add(following)
                waiting.append([*way, following])
    return []


def _imports(module: str, source: str, modules: Iterable[str]) -> set[str]:
    """Return what a module imports of ours when it is loaded; imports inside functions come later."""
    known, found = set(modules), set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} & known or {node.module}
    return (found & known) - {module}


def _module(name: Path) -> str:
    parts = name.with_suffix("").parts
    # The image's package is loaded from its own folder.
    parts = parts[2:] if parts[:2] == ("docker", "prefect") else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def shared(files: Mapping[Path, str]) -> list[tuple[str, str]]:
    """Return the places at which the same stretch of code begins, in pairs; a long stretch is named once."""
    places: dict[tuple[str, ...], list[tuple[Path, int]]] = defaultdict(list)
    for name, source in files.items():
        lines = _code_lines(source)
        for index in range(len(lines) - SHARED_LINES + 1):
            window = lines[index : index + SHARED_LINES]
            places[tuple(text for _number, text in window)].append((name, window[0][0]))
    pairs: list[tuple[str, str]] = []
    last: tuple[Path, Path] | None = None
    for first, *others in (found for found in places.values() if len(found) > 1):
        for other in others:
            if (first[0], other[0]) != last:
                pairs.append((f"{first[0]}:{first[1]}", f"{other[0]}:{other[1]}"))
            last = (first[0], other[0])
    return pairs


def _code_lines(source: str) -> list[tuple[int, str]]:
    """Return number and text of each line that holds code: no imports, docstrings, comments or lone brackets."""
    skipped = set(_lines_without_code(ast.parse(source)))
    numbered = enumerate((line.strip() for line in source.splitlines()), start=1)
    return [
        (number, text)
        for number, text in numbered
        if number not in skipped and not text.startswith("#") and any(map(str.isalnum, text))
    ]


def _lines_without_code(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) or (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        ):
            yield from range(node.lineno, (node.end_lineno or node.lineno) + 1)


def _is_product(name: Path) -> bool:
    return name.parts[0] in PRODUCT


def _python_files() -> Sequence[Path]:
    argv = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"]
    listed = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for path in (ROOT / name for name in sorted(set(listed.splitlines()))) if path.is_file()]


if __name__ == "__main__":
    sys.exit(main())
