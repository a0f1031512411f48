"""Addressing Fly's APIs: quoted paths."""

from __future__ import annotations

from urllib.parse import quote

from clients.wire import Wire

__all__ = ["Wire", "path"]


def path(*segments: str) -> str:
    """Return `/v1/…` with every segment quoted, so that no name can reach another route."""
    return "/v1/" + "/".join(quote(segment, safe="") for segment in segments)
