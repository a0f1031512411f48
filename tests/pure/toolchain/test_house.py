"""The house rules that no linter checks."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolchain import house


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("__main__.py", 40),
        ("ops/__main__.py", 300),
        ("providers/a.py", 200),
        ("components/a.py", 300),
        ("sandbox/x/y.py", 300),
    ],
)
def test_the_limits_of_files_are_the_house_rules(name: str, limit: int) -> None:
    """Providers and the program have limits of their own; everything else has one."""
    assert house.file_limit(Path(name)) == limit


def test_what_is_too_long_is_named() -> None:
    """A long file, function and constructor are each one sentence; one at its limit is none."""
    body = "    x = 1\n" * house.FUNCTION_LIMIT
    constructor = "class A:\n    def __init__(self):\n" + "        x = 1\n" * house.CONSTRUCTOR_LIMIT
    source = f"def long():\n{body}{constructor}" + "\n" * house.FILE_LIMIT
    lines = len(source.splitlines())
    assert list(house.complaints_about(Path("a.py"), source)) == [
        f"a.py: {lines} lines, at most {house.FILE_LIMIT}",
        f"a.py:1: long has {house.FUNCTION_LIMIT + 1} lines, at most {house.FUNCTION_LIMIT}",
        f"a.py:{house.FUNCTION_LIMIT + 3}: __init__ has {house.CONSTRUCTOR_LIMIT + 1} lines, "
        f"at most {house.CONSTRUCTOR_LIMIT}",
    ]
    short = "def short():\n" + "    x = 1\n" * (house.FUNCTION_LIMIT - 1)
    assert list(house.complaints_about(Path("b.py"), short)) == []


def test_a_circle_of_imports_is_found_once() -> None:
    """Also over three modules and packages; an import inside a function closes none."""
    files = {
        Path("a/__init__.py"): "import b",
        Path("b.py"): "from c import thing",
        Path("c.py"): "from a import x",
        Path("d.py"): "import a",
        Path("e.py"): "def f():\n    import f",
        Path("f.py"): "import e",
    }
    assert house.circles(files) == [["a", "b", "c", "a"]]


def test_a_submodule_that_imports_its_sibling_is_no_circle() -> None:
    """`from package import sibling` is an import of the sibling, not of the package."""
    files = {Path("p/__init__.py"): "from p import x", Path("p/x.py"): "from p import y", Path("p/y.py"): ""}
    assert house.circles(files) == []


def test_code_that_stands_twice_is_named_once() -> None:
    """Six lines are a stretch; comments, docstrings and imports do not count, and five lines are none."""
    six = [f"value_{n} = compute({n})" for n in range(6)]
    first = "\n".join(["import os", *six, "end = 1"])
    second = "\n".join(['"""Text."""', six[0], "# why", *six[1:], "other = 2"])
    assert house.shared({Path("a.py"): first, Path("b.py"): second}) == [("a.py:2", "b.py:2")]
    assert house.shared({Path("a.py"): first, Path("b.py"): "\n".join(six[:5])}) == []
