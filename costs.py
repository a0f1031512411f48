"""What the server costs on Fly per month, in US dollars.

The formula is Fly's own: (0.695 x shared CPUs + 21 x performance CPUs + 5 x GB of memory) x the region's markup, for 30
days of a machine that is always on. It reproduces the prices that Fly published (docs/costs.md).
"""

from __future__ import annotations

from collections.abc import Sequence

_PER_CPU = {"shared": 0.695, "performance": 21.0}
_PER_GB = 5.0
# Markups as far as Fly published them; what another region costs is not known.
_MARKUPS = {"ewr": 1.0, "iad": 1.0, "ams": 1.038, "sjc": 1.192}


def monthly_usd(*, cpu_kind: str, cpus: int, memory_mb: int, regions: Sequence[str]) -> float | None:
    """Return USD per month for one machine in each of `regions` (a region may repeat), rounded to cents.

    Swap, shared IPv4 and IPv6 are free; traffic (about 0.02 USD per GB) and the database are not included. None when
    the markup of one of the regions is not known.
    """
    if unpriced(regions):
        return None
    each = _PER_CPU[cpu_kind] * cpus + _PER_GB * memory_mb / 1024
    return round(sum(each * _MARKUPS[region] for region in regions), 2)


def unpriced(regions: Sequence[str]) -> list[str]:
    """Return the regions whose markup is not known, each once, sorted."""
    return sorted(set(regions) - _MARKUPS.keys())
