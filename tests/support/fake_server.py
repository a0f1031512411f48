"""A Prefect server behind its gate, in memory, behind a requests session."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import requests

from clients.endpoints import World
from clients.prefect import Credential, PrefectClient
from tests.support.scripted_http import answer

CREDENTIAL = Credential(name="verify", key="pf_of-this-test")


class FakeServer(requests.Session):
    """Answers as a good server does; a test changes single answers."""

    def __init__(self) -> None:
        super().__init__()
        self.unreachable: Exception | None = None
        self.ready_status = 200
        self.anonymous_status = 401
        self.accepted = {CREDENTIAL.basic(), CREDENTIAL.bearer()}
        self.root = answer(200, None, {"Content-Type": "text/html; charset=utf-8"})
        self.pages: dict[str, requests.Response] = {}
        # machine id → name → entry of /gate/keys; the empty id is what the edge picks.
        self.keys: dict[str, dict[str, dict[str, Any]]] = {"": {}}
        self.generations: dict[str, int] = {}
        self.asked: list[str] = []

    def client(self) -> PrefectClient:
        """Return a client of this server."""
        return PrefectClient.at("http://127.0.0.1:4200", World.SANDBOX, session=self)

    def request(self, method: str, url: str, **given: Any) -> requests.Response:  # type: ignore[override]
        """Route one request."""
        if self.unreachable:
            raise self.unreachable
        path, headers = urlsplit(url).path, given["headers"]
        credential = headers.get("Authorization", "")
        if path == "/api/ready":
            return answer(self.ready_status, {"message": "OK"})
        if path == "/api/flows/filter" and method == "POST":
            status = 200 if credential in self.accepted else 401
            return answer(status if credential else self.anonymous_status, [])
        if path == "/gate/keys":
            return self._keys(credential, headers.get("fly-force-instance-id", ""))
        return self.root if path == "/" else self.pages[path]

    def _keys(self, credential: str, machine: str) -> requests.Response:
        self.asked.append(machine)
        if credential not in self.accepted:
            return answer(401)
        followed = {"generation": self.generations.get(machine, 0), "trouble": ""}
        return answer(200, {"keys": self.keys[machine], "started_at": 1.0, **followed})


def use(**changed: Any) -> dict[str, Any]:
    """Return an entry of /gate/keys."""
    seen = {"last_accepted": 1_700_000_000.0, "client_version": "3.8.8", "client_seen": 1_700_000_000.0}
    return {"accepted": 3, "refused": 0, **seen, **changed}
