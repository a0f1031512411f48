"""What a `.dockerignore` leaves of a folder, in the order in which the real docker plugin walks it.

The rules are those of moby/patternmatcher and its ignorefile package, which the plugin and Docker's own tools use. They
decide which files are in a context's hash, so close is not enough: another package's reading of a pattern would show an
image as changed.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolchain.standins.server import PluginError

_TOKENS = re.compile(r"\*\*/?|\\.|.", re.DOTALL)
_ANY_DEPTH = "(.*/)?"
_TOKEN_MEANS = {"**": _ANY_DEPTH, "**/": _ANY_DEPTH, "*": "[^/]*", "?": "[^/]"}
_TOKEN_MEANS |= {character: f"\\{character}" for character in ".+()|{}$\\"}


def read_patterns(text: str) -> list[str]:
    """The patterns of an ignore file, without comments and with absolute ones made relative to the context."""
    patterns: list[str] = []
    for line in text.removeprefix("\ufeff").split("\n"):
        pattern = line.strip()
        if line.startswith("#") or not pattern:
            continue
        wanted = pattern.startswith("!")
        pattern = pattern[1:].strip() if wanted else pattern
        if pattern:
            pattern = _clean(pattern)
            pattern = pattern[1:] if len(pattern) > 1 and pattern.startswith("/") else pattern
        patterns.append(f"!{pattern}" if wanted else pattern)
    return patterns


@dataclass(frozen=True)
class _Rule:
    matcher: re.Pattern[str]
    wanted: bool
    """Whether it is an exception, which takes back what earlier rules left out."""


class Ignore:
    """Patterns, applied to whole folders.

    Args:
        patterns: as `read_patterns` gives them; later ones win.

    Raises:
        PluginError: one of them is none.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._rules = [_rule(pattern) for pattern in patterns]

    def kept(self, folder: Path) -> Iterator[str]:
        """Paths of what is not left out, folders too: names sorted, and a folder's content right after the folder."""
        return self._below(folder, "", [False] * len(self._rules))

    def _below(self, folder: Path, prefix: str, above: list[bool]) -> Iterator[str]:
        for entry in sorted(os.scandir(folder), key=lambda entry: os.fsencode(entry.name)):
            path = f"{prefix}{entry.name}"
            ignored, matched = self._judge(path, above)
            if not ignored:
                yield path
            if entry.is_dir(follow_symlinks=False):
                # Also below a folder that is left out: an exception may bring back something in it.
                yield from self._below(folder / entry.name, f"{path}/", matched)

    def _judge(self, path: str, above: list[bool]) -> tuple[bool, list[bool]]:
        """Whether a path is left out, and which rules match it or a folder above it."""
        ignored = False
        matched = [False] * len(self._rules)
        for index, rule in enumerate(self._rules):
            if not above[index] and (rule.wanted != ignored or not rule.matcher.fullmatch(path)):
                continue
            matched[index] = True
            ignored = not rule.wanted
        return ignored, matched


def _rule(pattern: str) -> _Rule:
    cleaned = _clean(pattern)
    wanted = cleaned.startswith("!")
    text = cleaned[1:] if wanted else cleaned
    if not text:
        raise PluginError(f"could not read the ignore pattern {pattern!r}: an exception needs a name after the mark.")
    try:
        return _Rule(re.compile(_expression(text), re.DOTALL), wanted)
    except re.error as error:
        raise PluginError(f"could not read the ignore pattern {pattern!r}: {error}.") from None


def _expression(pattern: str) -> str:
    """The pattern as a regular expression for a whole path."""
    if _plain(pattern):
        return re.escape(pattern)
    if pattern.startswith("**") and _plain(pattern[2:]):
        # "**/name" is also the plain name.
        shorter = f"|{re.escape(pattern[3:])}" if pattern.startswith("**/") else ""
        return f".*{re.escape(pattern[2:])}{shorter}"
    if pattern.endswith("**") and _plain(pattern[:-2]):
        return f"{re.escape(pattern[:-2])}.*"
    parts = [_TOKEN_MEANS.get(token, token) for token in _TOKENS.findall(pattern)]
    # Any depth, also none, unless it ends the pattern: then anything.
    return "".join(parts[:-1]) + (".*" if parts[-1] == _ANY_DEPTH else parts[-1])


def _plain(text: str) -> bool:
    return not set(text) & set("*?[]\\")


def _clean(path: str) -> str:
    """The shortest equal path, as Go's filepath.Clean writes it."""
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned
