"""Fly's regions: code, name, part of the world and place, as `fly platform regions` lists them (May 2026)."""

from __future__ import annotations

from typing import Any

_ROWS = (
    ("ams", "Amsterdam, Netherlands", "europe", 52.37, 4.90),
    ("arn", "Stockholm, Sweden", "europe", 59.65, 17.92),
    ("bom", "Mumbai, India", "asia_pacific", 19.10, 72.87),
    ("cdg", "Paris, France", "europe", 48.86, 2.35),
    ("dfw", "Dallas, Texas (US)", "north_america", 32.78, -96.81),
    ("ewr", "Secaucus, NJ (US)", "north_america", 40.79, -74.06),
    ("fra", "Frankfurt, Germany", "europe", 50.11, 8.68),
    ("gru", "Sao Paulo, Brazil", "south_america", -23.55, -46.63),
    ("iad", "Ashburn, Virginia (US)", "north_america", 39.02, -77.54),
    ("jnb", "Johannesburg, South Africa", "africa", -26.13, 28.23),
    ("lax", "Los Angeles, California (US)", "north_america", 33.94, -118.41),
    ("lhr", "London, United Kingdom", "europe", 51.51, -0.13),
    ("nrt", "Tokyo, Japan", "asia_pacific", 35.62, 139.78),
    ("ord", "Chicago, Illinois (US)", "north_america", 41.88, -87.63),
    ("sin", "Singapore, Singapore", "asia_pacific", 1.30, 103.86),
    ("sjc", "San Jose, California (US)", "north_america", 37.35, -121.96),
    ("syd", "Sydney, Australia", "asia_pacific", -33.87, 151.21),
    ("yyz", "Toronto, Canada", "north_america", 43.64, -79.38),
)

NEAREST = "ewr"
REGIONS = frozenset(row[0] for row in _ROWS)


def regions_json() -> dict[str, Any]:
    """Return the reply to `GET /platform/regions`."""
    regions = [
        {
            "code": code,
            "name": name,
            "geo_region": part,
            "latitude": latitude,
            "longitude": longitude,
            "gateway_available": True,
            "requires_paid_plan": False,
            "deprecated": False,
        }
        for code, name, part, latitude, longitude in _ROWS
    ]
    return {"nearest": NEAREST, "regions": regions}


def nearest_region() -> dict[str, Any]:
    """Return the nearest region as GraphQL shows it."""
    name = next(row[1] for row in _ROWS if row[0] == NEAREST)
    return {"code": NEAREST, "name": name, "gatewayAvailable": True, "deprecated": False}
