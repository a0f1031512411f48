"""What the providers' pure tests share."""

from __future__ import annotations

import pytest

from clients.endpoints import World
from clients.prefect_api.client import PrefectApi
from tests.support.fake_prefect import FakePrefect


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakePrefect:
    """Prefect's API in memory, which the providers of its objects talk to."""
    fake = FakePrefect()
    monkeypatch.setattr(
        "providers.prefect_object.shared", lambda url, key, world: PrefectApi.at(url, key, World(world), fake)
    )
    monkeypatch.setattr("clients.timing.time.sleep", lambda _seconds: None)
    return fake
