"""The versions of Prefect that the gate was tested with.

The gate relies on how Prefect authenticates, on its list of websocket routes and on how its server is started. None of
that is a documented interface, so another version is refused until the tests have been run with it.
"""

from __future__ import annotations

from importlib.metadata import version

PROVED = frozenset({"3.8.8"})


class UnprovedVersionError(RuntimeError):
    """The installed Prefect is not one the gate was tested with."""


def require_proved(installed: str | None = None) -> str:
    """Return the installed Prefect's version.

    Raises:
        UnprovedVersionError: it is none of PROVED; the text says what to run again.
    """
    installed = installed or version("prefect")
    if installed not in PROVED:
        raise UnprovedVersionError(
            f"could not start the gate: it was proved with Prefect {', '.join(sorted(PROVED))} and {installed} is "
            "installed; run pytest tests/image with this version and add it to prefect_server/versions.py"
        )
    return installed
