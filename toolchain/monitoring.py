"""The gate of `monitoring/`: `python -m toolchain.monitoring` asks promtool about the alert rules and the dashboard.

It reads the rules and the dashboard's expressions, and runs the rules' tests. promtool is built once from its Go
module, which takes longer than a check may: so this is `make check-monitoring`, and not a part of `make check`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from toolchain.errors import ToolchainError
from toolchain.gobuild import build
from toolchain.pins import PROMTOOL
from toolchain.places import ROOT

_STOOD_FOR = {"$__rate_interval": "5m", "$app": "an-app"}


def main(root: Path = ROOT) -> int:
    """Run all three and return the first exit code that is not 0."""
    try:
        program = shutil.which("promtool") or str(build(PROMTOOL) / PROMTOOL.binary)
    except ToolchainError as error:
        print(error, file=sys.stderr)
        return 1
    folder = root / "monitoring"
    codes = [
        subprocess.run([program, *argv], cwd=folder, input=given, text=True, check=False).returncode
        for argv, given in (
            (("check", "rules", "--lint-fatal", "alerts.yml"), None),
            (("test", "rules", "alerts.test.yml"), None),
            (("check", "rules"), as_rules(folder / "dashboard.json")),
        )
    ]
    return next((code for code in codes if code), 0)


def as_rules(dashboard: Path) -> str:
    """Return the dashboard's expressions as a file of rules, which promtool can read from its standard input."""
    panels = json.loads(dashboard.read_text())["panels"]
    expressions = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    rules = [{"record": f"panel_{number}", "expr": _filled(text)} for number, text in enumerate(expressions)]
    return json.dumps({"groups": [{"name": "dashboard", "rules": rules}]})


def _filled(expression: str) -> str:
    for variable, value in _STOOD_FOR.items():
        expression = expression.replace(variable, value)
    return expression


if __name__ == "__main__":
    sys.exit(main())
