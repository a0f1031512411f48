"""The bill of materials that the image's build writes."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).parents[3]
PROGRAM = ROOT / "docker/prefect/sbom.py"
LOCK = ROOT / "docker/prefect/requirements.lock"


def test_it_lists_what_is_installed() -> None:
    """Each package of the environment is there once, with its version, and the text is the same every time."""
    texts = {subprocess.run([sys.executable, PROGRAM, LOCK], capture_output=True, check=True).stdout for _ in range(2)}
    said = json.loads(texts.pop())
    assert not texts
    assert (said["bomFormat"], said["specVersion"]) == ("CycloneDX", "1.5")
    versions = {each["name"]: each["version"] for each in said["components"]}
    assert len(versions) == len(said["components"])
    assert versions["pulumi"] == next(each.version for each in distributions(name="pulumi"))
    assert said["components"][0]["purl"].startswith("pkg:pypi/")


def test_a_package_found_twice_is_listed_once() -> None:
    """Spellings of one name are one package."""
    spec = importlib.util.spec_from_file_location("sbom", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    installed = list(distributions(name="pulumi"))
    assert len(module.components(installed + installed)) == 1
