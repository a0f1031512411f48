"""What the installed launchers start: `run.py <command|docker> <engine address>`, with the program's folder as cwd."""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

_PACKAGES = ("pulumi", "pulumi.runtime", "pulumi.runtime.proto")


def _leave_out_the_sdk() -> None:
    """Make the packages that hold the protocol's messages empty ones: what the SDK does on import takes 0.3 s."""
    found = find_spec("pulumi")
    if found is None or not found.submodule_search_locations:
        sys.exit('could not start the plugin: its Python has no package "pulumi". Run "make setup".')
    site = Path(found.submodule_search_locations[0]).parent
    for name in _PACKAGES:
        package = ModuleType(name)
        package.__path__ = [str(site.joinpath(*name.split(".")))]
        sys.modules[name] = package


if __name__ == "__main__":
    # Replaces this script's own folder, so that the plugin's modules have one name and shadow nothing.
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    plugin = sys.argv.pop(1)
    _leave_out_the_sdk()
    importlib.import_module(f"toolchain.standins.{plugin}").main(sys.argv[1:])
