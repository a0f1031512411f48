"""Take what only the real backend can decrypt out of a stack's file, so that a fork's pull request can preview it."""

import sys
from pathlib import Path

import yaml

file = Path(f"Pulumi.{sys.argv[1]}.yaml")
stack = yaml.safe_load(file.read_text(encoding="utf-8"))
stack.pop("encryptionsalt", None)
stack.pop("secretsprovider", None)
stack.pop("encryptedkey", None)
stack["config"] = {
    key: value for key, value in stack["config"].items() if not (isinstance(value, dict) and "secure" in value)
}
file.write_text(yaml.safe_dump(stack), encoding="utf-8")
