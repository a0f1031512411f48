"""A complete stack configuration to change one thing at a time in."""

from __future__ import annotations

import json
from typing import Any

_BASE: dict[str, Any] = {
    "fly": {"org": "acme", "app": "acme-prefect"},
    "orchestrator": {"app": "acme-orchestrator", "healthUrl": "https://acme-orchestrator.fly.dev/health"},
    "github": {"repository": "acme"},
    "databaseUrl": "postgresql://prefect:pw@db.example.com/postgres",
}


def flat_config(**changes: Any) -> dict[str, str]:
    """Return the configuration as the engine hands it over; groups in `changes` are merged, None removes a key."""
    merged = {**_BASE}
    for key, value in changes.items():
        base = merged.get(key)
        merged[key] = {**base, **value} if isinstance(base, dict) and isinstance(value, dict) else value
        if isinstance(merged[key], dict):
            merged[key] = {name: item for name, item in merged[key].items() if item is not None}
    flat = {
        f"prefect-fly:{key}": value if isinstance(value, str) else json.dumps(value) for key, value in merged.items()
    }
    return {"github:owner": "acme", **flat}
