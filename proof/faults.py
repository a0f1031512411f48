"""What may go wrong with one call, and how the sandbox is told to do it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FAULTS: Mapping[str, Mapping[str, Any]] = {
    # Until the run ends: what a retry would hide is seen as well.
    "500": {"status": 500, "body": {"error": "internal server error"}, "times": None},
    "401": {"status": 401, "body": {"error": "unauthorized"}, "times": None},
    "429": {"status": 429, "body": {"error": "slow down"}, "headers": {"Retry-After": "1"}},
    "reset before": {"reset": True},
    "reset after the effect": {"drop_answer": True},
    # Longer than our clients wait; GitHub's provider waits as long as it takes.
    "time-out after the effect": {"hold": 150.0, "drop_answer": True},
    "truncated JSON": {"status": 200, "body": '{"id": "17', "headers": {"Content-Type": "application/json"}},
    "HTML with 200": {"status": 200, "body": "<!doctype html><title>Gateway</title>", "headers": {}},
}
"""By name: the settings of `sandbox.core.faults.Fault`; each hits once unless it says otherwise."""

WITH_EFFECT = frozenset({"reset after the effect", "time-out after the effect"})
"""Those that differ from a plain failure only where a call has an effect."""

GARBLED = frozenset({"truncated JSON", "HTML with 200"})
"""Those that look like a success."""
