"""What a text must be that people read when something went wrong (docs/errors.md), as a check that can fail."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from urllib.parse import quote

from clients.endpoints import WrongWorldError
from clients.errors import ApiError
from ops.errors import OpsError
from settings import SettingsError

OURS = (ApiError, WrongWorldError, OpsError, SettingsError)
LONGEST = 1500

# could not <verb> <kind> "<name>": <what was said>. <what to do next>.
_SENTENCE = re.compile(r"could not (?P<verb>[a-z]+) (?P<what>\S.*?): (?P<said>\S.*?)\. (?P<next>[A-Z].*)\.?", re.DOTALL)
# Every text ends with something to do.
_TO_DO = re.compile(
    r"\b(?:add|allow|ask|check|choose|correct|fix|give|look|make|point|push|read|remove|run|see|set|take|unset|use|wait)\b",
    re.IGNORECASE,
)
_FOREIGN = ("Traceback", "<html", "<!doctype", " object at 0x", "Error(", "Errno", "JSONDecode")


def faults_of(error: BaseException, secrets: Iterable[str] = ()) -> list[str]:
    """Say what is wrong with the text of an error; nothing when it is as it has to be."""
    text = str(error)
    found = _SENTENCE.fullmatch(text)
    faults = [] if isinstance(error, OURS) else [f"{type(error).__name__} is no error of ours"]
    if not found:
        faults.append("it is no sentence of the agreed form")
    elif not _TO_DO.search(found["next"]):
        faults.append("it does not say what to do next")
    if "\n" in text and not isinstance(error, SettingsError):
        faults.append("it has more than one line")
    if len(text) > LONGEST:
        faults.append(f"it has {len(text)} characters")
    faults += [f"it holds {piece!r}" for piece in _FOREIGN if piece.lower() in text.lower()]
    faults += ["it holds a secret" for secret in secrets if any(form in text for form in _forms(secret))]
    return faults


def require_sentence(error: BaseException, secrets: Iterable[str] = ()) -> None:
    """Fail with what is wrong with the text."""
    faults = faults_of(error, secrets)
    assert not faults, f"{'; '.join(faults)}: {str(error)[:2000]}"


def _forms(secret: str) -> set[str]:
    encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
    return {secret, quote(secret, safe=""), encoded}
