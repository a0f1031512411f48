"""Stand-ins never serve a real stack: what they build, push and run was only ever compared with the real plugins here.

A real stack is known by what it asks for: a verb with `--endpoints real`, or an image for a registry elsewhere.
"""

from __future__ import annotations

import ipaddress
import os
import re

from toolchain.standins.server import PluginError

ALLOW_VARIABLE = "PREFECT_FLY_ALLOW_STANDINS"
_REAL_VERB = re.compile(r"-m ops \S+ .*--endpoints real\b")


def require_sandbox_command(text: object) -> None:
    """Return when a Command's text is not of a real stack.

    Raises:
        PluginError: it is, and nobody allowed it.
    """
    if isinstance(text, str) and _REAL_VERB.search(text):
        _refuse("command")


def require_loopback_registry(server: object) -> None:
    """Return when an image is not for a registry elsewhere.

    Raises:
        PluginError: it is, and nobody allowed it.
    """
    if isinstance(server, str) and server and not _is_loopback(server):
        _refuse("docker")


def _is_loopback(server: str) -> bool:
    host = re.sub(r"^https?://", "", server).partition("/")[0].rpartition(":")[0] or server
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _refuse(plugin: str) -> None:
    if os.environ.get(ALLOW_VARIABLE) != "1":
        raise PluginError(
            f"could not use the stand-in for Pulumi's {plugin} plugin: the stack states endpoints: real. Install the "
            "official Pulumi CLI, which brings the real plugins, open a new shell, and run the command again. Only to "
            f"roll back where it cannot be installed: {ALLOW_VARIABLE}=1."
        )
