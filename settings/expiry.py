"""When something ends, as people write it in a stack file."""

from __future__ import annotations

import re
from datetime import UTC, datetime

# What the Pulumi CLI makes of a date or time that stands in YAML without quotes.
_OF_THE_CLI = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.\d+)? ([+-]\d{4}) \S+")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def parse(text: str) -> datetime:
    """Read a date, which is its beginning in UTC, or an RFC 3339 time.

    Raises:
        ValueError: it is neither; the text says what it must be.
    """
    found = _OF_THE_CLI.fullmatch(text)
    wanted = "{}T{}{}".format(*found.groups()) if found else f"{text}T00:00:00Z" if _DATE.fullmatch(text) else text
    try:
        moment = datetime.fromisoformat(wanted)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError(
            f'"{text}" is no date such as 2027-01-31 and no time with its zone such as 2027-01-31T18:00:00Z'
        )
    return moment.astimezone(UTC)


def rfc3339(moment: datetime) -> str:
    """Write it as the server reads it."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
