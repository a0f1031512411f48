from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from clients import names

ROOT = Path(names.__file__).parents[1]
PRODUCT = ("settings", "components", "providers", "clients", "ops")


def literals(path: Path) -> Iterator[str]:
    """Every text that the code of a file uses as it is; docstrings and longer sentences are none."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def product_files() -> list[Path]:
    found = [path for folder in PRODUCT for path in sorted((ROOT / folder).rglob("*.py"))]
    return [*found, ROOT / "outputs.py", ROOT / "__main__.py"]


def test_a_name_that_crosses_a_process_stands_once() -> None:
    """Secret names, variables and the marker are spelled in clients/names.py alone; everybody else imports them."""
    spelled = {value for value in vars(names).values() if isinstance(value, str) and value.isupper()}
    spelled |= {*names.WIRED, *names.RETIRED_NAMES}
    assert len(spelled) > 15
    found = {
        f"{path.relative_to(ROOT)}: {text}"
        for path in product_files()
        if path != Path(names.__file__)
        for text in literals(path)
        if text in spelled
    }
    assert found == set()


def test_the_retired_names_are_those_that_the_image_refuses() -> None:
    """The server's app may not have them set, because the image would not start with them."""
    sys.path.insert(0, str(ROOT / "docker" / "prefect"))
    from prefect_server.settings import REFUSED_NAMES  # noqa: PLC0415

    assert set(names.RETIRED_NAMES) == set(REFUSED_NAMES)


def test_the_mark_of_a_stack_says_nothing_about_it() -> None:
    """Twelve hexadecimal digits, the same every time, and another stack has another."""
    mark = names.owner_of("acme", "prefect-fly", "prod")
    assert (len(mark), int(mark, 16) > 0) == (12, True)
    assert mark == names.owner_of("acme", "prefect-fly", "prod") != names.owner_of("acme", "prefect-fly", "dev")
    assert names.marker_of(mark) == f"PREFECT_FLY_OWNER_{mark.upper()}"
