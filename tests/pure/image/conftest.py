from __future__ import annotations

import sys
from pathlib import Path

# The package as the image has it.
sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "docker" / "prefect"))
