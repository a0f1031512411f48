"""The documentation is complete: what people can meet is on a page, and every page is in the index."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import clients
from clients.endpoints import WrongWorldError
from clients.errors import ApiError
from ops import __main__ as ops
from ops import migrate_exit_codes
from ops.errors import OpsError
from settings import SettingsError
from tests.support.recording import run_program
from tests.support.stack_config import flat_config

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CLOUD = {
    "mode": "cloud",
    "cloud": {"apiUrl": "https://api.prefect.cloud/api/accounts/a/workspaces/w"},
    "cloudApiKey": "pnu_secret",
}


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def rows(text: str) -> dict[str, list[str]]:
    """Return the cells of each row of the page's tables by its first cell."""
    found = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in text.splitlines() if "|" in line]
    return {cells[0].strip("` "): cells[1:] for cells in found}


def test_every_page_is_in_the_index() -> None:
    """A page that nobody links is a page that nobody reads."""
    linked = set(re.findall(r"\]\(([^)#]+\.md)\)", page("README.md")))
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")} - {"README.md"}
    assert pages <= linked


def test_every_link_between_pages_leads_somewhere() -> None:
    """In docs/, the README and CONTRIBUTING."""
    files = [*DOCS.rglob("*.md"), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md"))]
    broken = {
        f"{file.relative_to(ROOT)}: {target}"
        for file in files
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", file.read_text(encoding="utf-8"))
        if not (file.parent / target).exists()
    }
    assert broken == set()


def test_every_output_is_on_its_page_with_its_secrecy() -> None:
    """Of both modes, and nothing that does not exist."""
    own, cloud = run_program(flat_config(fly={"domain": "prefect.example.com"})), run_program(flat_config(**CLOUD))
    private = run_program(flat_config(fly={"private": True}, uptime={"enabled": False}))
    documented = {name: cells for name, cells in rows(page("outputs.md")).items() if len(cells) == 3}
    documented = {name: cells for name, cells in documented.items() if name not in {"output", "---"}}
    assert documented.keys() == own.exports.keys() | cloud.exports.keys() | private.exports.keys()
    secret = {name for name, cells in documented.items() if cells[1] == "yes"}
    assert secret == own.secret_exports | cloud.secret_exports


def test_every_kind_of_error_is_on_its_page() -> None:
    """All clients' errors, and the three that are no ApiError."""
    for module in pkgutil.walk_packages(clients.__path__, "clients."):
        importlib.import_module(module.name)
    waiting: list[type[Exception]] = [ApiError, WrongWorldError, SettingsError, OpsError]
    names = set()
    while waiting:
        kind = waiting.pop()
        if kind.__module__.split(".")[0] in {"clients", "ops", "settings"}:
            names.add(kind.__name__)
        waiting += kind.__subclasses__()
    assert len(names) > 35
    assert {name for name in names if f"`{name}`" not in page("errors.md")} == set()


def test_every_exit_code_is_documented() -> None:
    """Those of the verbs in ops.md, those of the migration on a page of their own."""
    text = page("ops.md")
    for code, what in ((0, "done"), (1, "failed"), (2, "wrong flags"), (130, "interrupted")):
        assert f"{code} {what}" in " ".join(text.split())
        assert f"{code} {what}"[:4].strip().split()[0] in (ops.main.__doc__ or "")
    assert {str(code) for code in (0, *migrate_exit_codes.MEANINGS)} <= rows(page("migrate-exit-codes.md")).keys()
