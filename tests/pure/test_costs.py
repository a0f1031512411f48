"""The monthly cost, against the prices that Fly published."""

from __future__ import annotations

import pytest

from costs import monthly_usd, unpriced


@pytest.mark.parametrize(
    ("cpu_kind", "cpus", "memory_mb", "region", "usd"),
    [
        ("shared", 1, 256, "ewr", 1.94),
        ("shared", 1, 512, "ewr", 3.19),
        ("shared", 1, 1024, "ewr", 5.70),
        ("shared", 1, 256, "sjc", 2.32),
        ("shared", 1, 256, "ams", 2.02),
        ("performance", 1, 2048, "ewr", 31.0),
        ("performance", 2, 8192, "iad", 82.0),
        ("performance", 8, 16384, "ewr", 248.0),
    ],
)
def test_published_prices_come_out(cpu_kind: str, cpus: int, memory_mb: int, region: str, usd: float) -> None:
    """The formula gives what the price list says, to the cent or two that Fly rounds by."""
    cost = monthly_usd(cpu_kind=cpu_kind, cpus=cpus, memory_mb=memory_mb, regions=[region])
    assert cost == pytest.approx(usd, abs=0.011)


def test_several_machines_add_up() -> None:
    """Each in its region, a region may repeat."""
    one = monthly_usd(cpu_kind="shared", cpus=1, memory_mb=256, regions=["ewr"])
    three = monthly_usd(cpu_kind="shared", cpus=1, memory_mb=256, regions=["ewr", "ewr", "ewr"])
    assert one is not None
    assert three == pytest.approx(3 * one, abs=0.02)


def test_a_region_without_a_known_price_is_not_guessed() -> None:
    """None, and the regions are named; counting them without a markup would be too little."""
    assert monthly_usd(cpu_kind="shared", cpus=1, memory_mb=256, regions=["ewr", "gru"]) is None
    assert unpriced(["gru", "ewr", "syd", "gru"]) == ["gru", "syd"]
