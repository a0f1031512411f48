"""The one place that texts of other programs pass before people see them: what looks like a credential is cut out.

Errors do it by themselves (`clients.errors.ApiError`); whoever prints a line from outside calls `redacted`.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote, quote_plus

from clients.names import BETTER_STACK_TOKEN, FLY_TOKEN, GITHUB_TOKEN, REGISTRY_TOKEN, SERVER_KEY, VERIFY_KEY

_CUT = "[cut out]"
_NAMES = r"\b(?:password|passwd|pwd|secret|token|api_?key)\b"
_PATTERNS = (
    # Lengths are bounded, or megabytes of one word would take hours.
    # user:password@ in any URL; the password may itself hold an @ or a slash when it was not encoded
    (re.compile(r"(?P<keep>[A-Za-z][\w+.-]{0,30}://[^\s:/@]{0,1000}:)\S{0,4000}@"), rf"\g<keep>{_CUT}@"),
    (re.compile(r"(?P<keep>\b(?:Bearer|Basic|FlyV1)\s+)[^\s'\"]+", re.IGNORECASE), rf"\g<keep>{_CUT}"),
    (re.compile(rf"(?P<keep>{_NAMES}['\"]?\s*[=:]\s*['\"]?)[^\s'\",;&]+", re.IGNORECASE), rf"\g<keep>{_CUT}"),
    (re.compile(r"\b(?:pf|pnu|fm\d[a-z]?|gh[pousr]|github_pat)_[\w,-]{16,}"), _CUT),
)
_VARIABLES = (FLY_TOKEN, REGISTRY_TOKEN, GITHUB_TOKEN, BETTER_STACK_TOKEN, VERIFY_KEY, SERVER_KEY)
# A shorter value would be found in ordinary words.
_SHORTEST = 8
_LONGEST_READ, _LONGEST_LINE = 20_000, 600


def redacted(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return `text` without URL passwords, Authorization values, and values of variables named like secrets.

    The tokens of the environment are cut out wherever they stand: in clear, percent-encoded or in base64.
    """
    for secret in _known(environ):
        text = text.replace(secret, _CUT)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def one_line(text: str, longest: int = _LONGEST_LINE) -> str:
    """Return `text` redacted, as one line that can be printed anywhere, cut to `longest` characters.

    For what stands in the middle of a sentence although another program wrote it: a page, a log, terminal codes.
    """
    if len(text) > _LONGEST_READ:
        # What a cut may have left of a secret goes with the last word.
        text = text[:_LONGEST_READ].rpartition(" ")[0] or text[:longest]
    line = " ".join(redacted(text).split())
    line = line if line.isprintable() else "".join(char if char.isprintable() else "?" for char in line)
    return line if len(line) <= longest else f"{line[:longest]} …"


def _known(environ: Mapping[str, str]) -> Iterator[str]:
    for variable in _VARIABLES:
        value = environ.get(variable, "").strip()
        # Of name:key the key alone gives access as well.
        for secret in {value, value.rpartition(":")[2]}:
            if len(secret) >= _SHORTEST:
                encoded = base64.b64encode(secret.encode()).decode()
                # Longest first, or the rest of a longer form would stay.
                yield from sorted({secret, quote(secret, safe=""), quote_plus(secret), encoded}, key=len, reverse=True)
