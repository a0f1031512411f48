"""The search for a secret in what anybody may read, in every spelling in which it could stand there."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote


@dataclass(frozen=True)
class Place:
    """Where a secret must not be, and how one is planted there for the control."""

    read: Callable[[], str]
    plant: Callable[[str], object]


def file(path: Path) -> Place:
    """A file."""

    def plant(text: str) -> None:
        with path.open("a") as opened:
            opened.write(text)

    return Place(lambda: path.read_text(errors="replace"), plant)


def spellings(secret: str) -> set[str]:
    """The secret in clear, as in JSON, URL-encoded, and in base64 at each of its three alignments in a longer text."""
    raw = secret.encode()
    found = {secret, json.dumps(secret)[1:-1], quote(secret, safe="")}
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw).decode()
        # The first and last characters also depend on the neighbours.
        inner = encoded[4 if shift else 0 : len(encoded) - 4]
        found.add(inner)
    return found


def leaks(text: str, secrets: dict[str, str]) -> set[str]:
    """Names of the secrets that stand in `text` in any spelling, also where a line break or an indent parts them."""
    whole = unbroken(text)
    return {
        name
        for name, secret in secrets.items()
        if any(form in text or unbroken(form) in whole for form in spellings(secret))
    }


def unbroken(text: str) -> str:
    """The text without white space and without line breaks as JSON spells them."""
    return "".join(text.replace("\\r", "").replace("\\n", "").split())
