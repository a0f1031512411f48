"""Stand-ins never serve a real stack: what they build, push and run was only ever compared with the real plugins here.

A real stack is known by what it asks for: a verb with `--endpoints real`, or an image for a registry elsewhere.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from toolchain.standins.server import PluginError

ALLOW_VARIABLE = "PREFECT_FLY_ALLOW_STANDINS"
_VERB = re.compile(r"-m[\s\\]+ops\b")
_REAL_WORLD = re.compile(r"--endpoints[\s\\=]+[\"']?real\b")
_TEXTS = ("create", "update", "delete")


def require_sandbox_command(inputs: Mapping[str, object]) -> None:
    """Return when none of a Command's texts is of a real stack.

    All of them count whatever is to be run: on destroy the first Commands to go have nothing to run, and refusing only
    later ones would stop a rollback half-way, after secrets were deleted.

    Raises:
        PluginError: one is, and nobody allowed it.
    """
    for text in map(inputs.get, _TEXTS):
        if isinstance(text, str) and _VERB.search(text) and _REAL_WORLD.search(text):
            _refuse("command", "a Command of this stack says `--endpoints real`")


def require_loopback_registry(server: object) -> None:
    """Return when an image is not for a registry elsewhere.

    Raises:
        PluginError: it is, and nobody allowed it.
    """
    if isinstance(server, str) and server and not _is_loopback(server):
        _refuse("docker", f"the image is for the registry {server}, which is not on this machine")


def _is_loopback(server: str) -> bool:
    authority = server.rpartition("://")[2].partition("/")[0]
    try:
        # A bare IPv6 address has no brackets to tell it from a port.
        host = authority if authority.count(":") > 1 and "[" not in authority else urlsplit(f"//{authority}").hostname
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        host = authority.partition(":")[0].lower()
        return host == "localhost" or host.endswith(".localhost")


def _refuse(plugin: str, why: str) -> None:
    if os.environ.get(ALLOW_VARIABLE) != "1":
        raise PluginError(
            f"could not use the stand-in for Pulumi's {plugin} plugin: {why}, and a stand-in serves a sandbox only. "
            "Install the official Pulumi CLI, which brings the real plugins, open a new shell, and run the command "
            f"again. Only to roll back where it cannot be installed: {ALLOW_VARIABLE}=1."
        )
