"""Servers on one database, each as the machine it would be, and what an admin asks of them."""

from __future__ import annotations

from pathlib import Path

import requests

from tests.image.conftest import KEYS
from tests.support.prefect_server import Program, database_environment, hashed


def server(home: Path, url: str, machine: str, **more: str) -> Program:
    """A server that is not started yet, with more variables."""
    environ = database_environment(url) | {"PREFECT_FLY_API_KEYS": hashed(KEYS), "FLY_MACHINE_ID": machine}
    return Program(home, environ | more)


def ask(server: Program, method: str, path: str, content: object = None) -> requests.Response:
    """Ask something below its API, with an admin's key."""
    credential = {"Authorization": f"Bearer {KEYS['admin']}"}
    return requests.request(method, f"{server.api_url}{path}", json=content, headers=credential, timeout=600)
