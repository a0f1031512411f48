"""Print the bill of materials of the environment it runs in, as CycloneDX JSON; the same packages give the same text.

The Dockerfile runs it with the server's own Python, so it lists what is installed and not what was asked for.
"""

from __future__ import annotations

import hashlib
import json
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any


def components(installed: list[Distribution]) -> list[dict[str, Any]]:
    """Return each package once, by name, with its licence where it states one in one line."""
    found: dict[str, dict[str, Any]] = {}
    for each in installed:
        name = each.metadata["Name"].lower().replace("_", "-").replace(".", "-")
        purl = f"pkg:pypi/{name}@{each.version}"
        found[name] = {"type": "library", "bom-ref": purl, "name": name, "version": each.version, "purl": purl}
        if "License-Expression" in each.metadata:
            found[name]["licenses"] = [{"expression": each.metadata["License-Expression"]}]
    return [found[name] for name in sorted(found)]


def document(lock: Path, installed: list[Distribution]) -> dict[str, Any]:
    """Return the whole document; the lock that the packages came from is named by its hash."""
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {"type": "container", "name": "prefect-fly server"},
            "properties": [{"name": "prefect-fly:requirements.lock:sha256", "value": digest}],
        },
        "components": components(installed),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(document(Path(sys.argv[1]), list(distributions())), indent=1) + "\n")
