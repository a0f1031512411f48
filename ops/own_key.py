"""Whose key a verb asks the server with, what it may do there, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Self

ADMIN = "admin"
SOON_DAYS = 14


@dataclass(frozen=True, kw_only=True)
class OwnKey:
    """What the server says of the key that asks it; `expires` is unix seconds, None when it does not."""

    name: str
    rights: str
    expires: float | None

    @classmethod
    def of(cls, body: Mapping[str, object]) -> Self:
        """Read /gate/whoami."""
        text = body.get("expires")
        try:
            expires = datetime.fromisoformat(str(text)).timestamp() if text else None
        except ValueError:
            expires = None
        return cls(name=str(body.get("name")), rights=str(body.get("rights")), expires=expires)

    def judged(self, now: float) -> tuple[Literal["ok", "note"], str]:
        """Return a state and a sentence: a key that ends soon, or may not do all, is a note."""
        text, well = f'asked as "{self.name}" with {self.rights} rights', self.rights == ADMIN
        text += "" if well else " (to see and change everything, use an admin's)"
        if self.expires is not None:
            hours = max(self.expires - now, 0.0) / 3600
            text += f", it expires in {hours / 24:.0f} days" if hours >= 48 else f", it expires in {hours:.0f} hours"
            if hours <= SOON_DAYS * 24:
                return "note", f"{text}: give it a later date (logins)"
        return "ok" if well else "note", text
