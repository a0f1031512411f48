"""Names of the sandbox's world, for whoever talks to it without being it."""

from __future__ import annotations

from typing import Literal

ORGANISATION = "captionacc"
REPOSITORY = "captionacc/captionacc"
ORCHESTRATOR = "captionacc-orchestrator"
SERVER = "captionacc-prefect"
WORKFLOW = "deploy-orchestrator.yml"

DriverName = Literal["emulated", "process", "container"]
"""What runs machines."""
