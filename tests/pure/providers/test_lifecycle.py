"""What the providers share."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from secrets import token_hex
from threading import Barrier, BrokenBarrierError

import pytest

from clients.endpoints import WrongWorldError
from clients.fly.errors import FlyUnauthorizedError
from providers.lifecycle import fingerprint, fly_client

SANDBOX = {"endpoints": "sandbox"}


@pytest.fixture(autouse=True)
def addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FLY_FLAPS_BASE_URL", "FLY_API_BASE_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("FLY_API_TOKEN", f"planted-{token_hex(8)}")


def test_resources_that_start_at_once_share_one_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two clients would each keep Fly's limit alone and exceed it together."""
    together = Barrier(2)

    def slowly(token: str) -> str:
        # Lets a second thread, if one gets this far, make its client at the same time.
        with suppress(BrokenBarrierError):
            together.wait(0.2)
        return token

    monkeypatch.setattr("clients.fly.client.bare", slowly)
    with ThreadPoolExecutor(8) as pool:
        clients = list(pool.map(fly_client, [SANDBOX] * 16))
    assert all(client is clients[0] for client in clients)


def test_a_token_that_was_rotated_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment is read each time: nothing of it is kept in the state."""
    before = fly_client(SANDBOX)
    monkeypatch.setenv("FLY_API_TOKEN", "rotated")
    assert fly_client(SANDBOX) is not before


def test_a_missing_token_and_a_wrong_world_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each in its own sentence, before any call."""
    with pytest.raises(WrongWorldError, match="endpoints: real"):
        fly_client({"endpoints": "real"})
    monkeypatch.delenv("FLY_API_TOKEN")
    with pytest.raises(FlyUnauthorizedError, match="FLY_API_TOKEN is not set"):
        fly_client(SANDBOX)


def test_a_fingerprint_depends_on_salt_and_value_alone() -> None:
    """The same twice, another for another salt or value, and nothing of the value in it."""
    one = fingerprint("00" * 16, "canary")
    assert one == fingerprint("00" * 16, "canary")
    assert one not in {fingerprint("11" * 16, "canary"), fingerprint("00" * 16, "canary2")}
    assert "canary" not in one
