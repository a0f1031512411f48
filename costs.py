"""What the server costs on Fly per month, in US dollars.

The formula is Fly's own for shared CPUs: (0.695 x vCPUs + 5 x GB of memory) x the region's markup, for 30 days of a
machine that is always on. It reproduces the prices Fly published in August 2026 (docs/costs.md).
"""

from __future__ import annotations

from collections.abc import Sequence

_PER_SHARED_CPU = 0.695
_PER_GB = 5.0
# Markups as published; a region that is not listed is counted without one.
_MARKUPS = {"ewr": 1.0, "iad": 1.0, "ams": 1.038, "sjc": 1.192}


def monthly_usd(*, cpu_kind: str, cpus: int, memory_mb: int, regions: Sequence[str]) -> float | None:
    """Return USD per month for one machine in each of `regions` (a region may repeat), rounded to cents.

    Swap, shared IPv4 and IPv6 are free; traffic (about 0.02 USD per GB) and the database are not included. None for
    performance CPUs, whose price has no published formula.
    """
    if cpu_kind != "shared":
        return None
    each = _PER_SHARED_CPU * cpus + _PER_GB * memory_mb / 1024
    return round(sum(each * _MARKUPS.get(region, 1.0) for region in regions), 2)
