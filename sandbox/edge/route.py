"""What the edge may know of an app: whether its name leads anywhere, and to which machines."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Backend:
    """One machine that offers the app's service."""

    machine_id: str
    host: str
    port: int
    healthy: bool


@dataclass(frozen=True)
class Route:
    """What the edge knows of an app.

    Attributes:
        resolves: whether its name leads anywhere at all.
        backends: its started machines that are not cordoned.
        force_https: whether plain HTTP would be redirected by the real proxy.
        region: of the answering proxy.
        private: it is a name in the private network, where there is no HTTPS to be redirected to.
    """

    resolves: bool
    backends: tuple[Backend, ...] = ()
    force_https: bool = False
    region: str = "ewr"
    private: bool = False
