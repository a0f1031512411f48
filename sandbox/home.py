"""The home folder of a sandbox: what it keeps there, the ports of the last time, and how all of it is forgotten."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from sandbox.core.store import write_private_json
from sandbox.postgres import PostgresServer
from sandbox.registry import RegistryServer

# What the sandbox itself keeps in its home; other things (a demo's stack) may live there too.
OWN_FILES = ("state.json", "journal.jsonl", "ports.json", "postgres", "cloud", "machines", "registry")


def ports(home: Path) -> dict[str, int]:
    """Return the ports of the last time by service; none at the first."""
    path = home / "ports.json"
    kept: dict[str, int] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return kept


def save_ports(home: Path, by_service: dict[str, int]) -> None:
    """Keep the ports for the next start."""
    write_private_json(home / "ports.json", by_service)


def end_leftovers(home: Path) -> None:
    """End what a killed sandbox left running; its machines died with it."""
    PostgresServer(home / "postgres").end_leftover()
    RegistryServer(home.resolve() / "registry").end_leftover()


def forget(home: Path) -> None:
    """Delete what a sandbox that does not run has kept in `home`."""
    end_leftovers(home)
    PostgresServer(home / "postgres").remove()
    for name in OWN_FILES:
        path = home / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
