"""Log lines of other programs are shown to people and end up in CI logs: what looks like a credential is cut out."""

from __future__ import annotations

import re

_CUT = "[cut out]"
_NAMES = r"\b(?:password|passwd|pwd|secret|token|api_?key)\b"
_PATTERNS = (
    # user:password@ in any URL; the password may itself hold an @ or a slash when it was not encoded
    (re.compile(r"(?P<keep>[A-Za-z][\w+.-]*://[^\s:/@]*:)\S*@"), rf"\g<keep>{_CUT}@"),
    (re.compile(r"(?P<keep>\b(?:Bearer|Basic|FlyV1)\s+)[^\s'\"]+", re.IGNORECASE), rf"\g<keep>{_CUT}"),
    (re.compile(rf"(?P<keep>{_NAMES}['\"]?\s*[=:]\s*['\"]?)[^\s'\",;&]+", re.IGNORECASE), rf"\g<keep>{_CUT}"),
    (re.compile(r"\b(?:pf|pnu|fm\d[a-z]?)_[\w,-]{16,}"), _CUT),
)


def redacted(line: str) -> str:
    """Return `line` without URL passwords, Authorization values, and values of variables named like secrets."""
    for pattern, replacement in _PATTERNS:
        line = pattern.sub(replacement, line)
    return line
