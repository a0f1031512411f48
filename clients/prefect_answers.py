"""What a server's gate says of its keys and of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from clients.shapes import finite, record, whole


@dataclass(frozen=True, kw_only=True)
class KeyUse:
    """What one server process saw of one key since it started.

    Attributes:
        last_accepted: unix seconds by the server's clock, None when never.
        client_version: of the last client that used it, from its User-Agent.
        client_seen: unix seconds of that client's last request; what is no Prefect client does not count.
    """

    accepted: int
    refused: int
    last_accepted: float | None
    client_version: str | None
    client_seen: float | None = None

    @classmethod
    def of(cls, body: Mapping[str, object]) -> Self:
        """Read one entry of /gate/keys."""
        version = body.get("client_version")
        return cls(
            accepted=whole(body.get("accepted")),
            refused=whole(body.get("refused")),
            last_accepted=finite(body.get("last_accepted")),
            client_version=str(version) if version else None,
            client_seen=finite(body.get("client_seen")),
        )


@dataclass(frozen=True, kw_only=True)
class ServerKeys:
    """The keys that one server process accepts.

    Attributes:
        use: by name.
        generation: of the key ring, 0 when it does not follow the stack's.
        trouble: why it does not hear of newer keys just now, empty when it does.
    """

    use: Mapping[str, KeyUse]
    generation: int
    trouble: str

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        """Read /gate/keys."""
        use = {name: KeyUse.of(entry) for name, entry in record(body["keys"]).items() if isinstance(entry, dict)}
        return cls(use=use, generation=whole(body.get("generation")), trouble=str(body.get("trouble") or ""))


@dataclass(frozen=True, kw_only=True)
class ServerStatus:
    """What one server process says of itself: Prefect's version, and the database and the pool as it names their parts.

    `database` is empty when it gets no answer from the database, `pool` before its first connection.
    """

    version: str
    database: Mapping[str, Any]
    pool: Mapping[str, Any]

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        """Read /gate/status."""
        return cls(
            version=str(body.get("prefect") or ""),
            database=record(body.get("database")),
            pool=record(body.get("pool")),
        )


@dataclass(frozen=True, kw_only=True)
class AuditPage:
    """Some of the audit's lines, newest first, and the id before which the next ones are; None at the end."""

    lines: tuple[dict[str, Any], ...]
    next: int | None
