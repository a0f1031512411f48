"""throw-away: make a stack's file previewable without a secret, on a backend of its own, for forks and Dependabot.

What only the real backend can decrypt is taken out, and the one secret that the program cannot do without is made up.
The file in the checkout is rewritten: that is a runner's, which is gone afterwards.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import yaml

from ci import engine, runner

PASSPHRASE = "made-up"  # noqa: S105 - it protects made-up values only
_BACKEND = Path(".sandbox") / "throw-away"
_MADE_UP = {
    "prefect-fly:databaseUrl": "postgresql://nobody:made-up@db.example.com:5432/postgres",
    "prefect-fly:cloudApiKey": "pnu_made_up",
    "prefect-fly:redisUrl": "redis://nobody:made-up@redis.example.com:6379",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("--stack", required=True, help="the stack whose file is rewritten")


def run(args: argparse.Namespace) -> int:
    """Rewrite the stack's file, and point the steps that follow at the throw-away backend."""
    file = Path(f"Pulumi.{args.stack}.yaml")
    made_up(file)
    backend = Path.cwd() / _BACKEND
    backend.mkdir(parents=True, exist_ok=True)
    engine.made_up_secrets(
        args.stack,
        _needed(yaml.safe_load(file.read_text(encoding="utf-8"))["config"]),
        backend=f"file://{backend}",
        passphrase=PASSPHRASE,
    )
    runner.environment("PULUMI_BACKEND_URL", f"file://{backend}")
    runner.environment("PULUMI_CONFIG_PASSPHRASE", PASSPHRASE)
    return 0


def made_up(file: Path) -> None:
    """Take out of a stack's file what only its own backend can decrypt."""
    stack = yaml.safe_load(file.read_text(encoding="utf-8"))
    for key in ("encryptionsalt", "secretsprovider", "encryptedkey"):
        stack.pop(key, None)
    stack["config"] = {
        key: value for key, value in stack["config"].items() if not (isinstance(value, dict) and "secure" in value)
    }
    file.write_text(yaml.safe_dump(stack), encoding="utf-8")


def _needed(config: dict[str, Any]) -> dict[str, str]:
    """Return the made-up secrets that this stack's settings ask for; one too many would be refused."""
    if config.get("prefect-fly:mode") == "cloud":
        return {"prefect-fly:cloudApiKey": _MADE_UP["prefect-fly:cloudApiKey"]}
    replicas = (config.get("prefect-fly:vm") or {}).get("replicas", 1)
    separate = (config.get("prefect-fly:services") or {}).get("separate", False)
    names = ["prefect-fly:databaseUrl", *(["prefect-fly:redisUrl"] if replicas > 1 or separate else [])]
    return {name: _MADE_UP[name] for name in names}
