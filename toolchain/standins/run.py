"""What the installed launchers start: `run.py <command|docker> <engine address>`, with the program's folder as cwd."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

if __name__ == "__main__":
    # Replaces this script's own folder, so that the plugin's modules have one name and shadow nothing.
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    plugin = sys.argv.pop(1)
    importlib.import_module(f"toolchain.standins.{plugin}").main(sys.argv[1:])
