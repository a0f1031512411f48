"""The parts of GitHub's replies that we read; unknown fields are ignored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from clients.shapes import number, record, whole_object


def unix_seconds(timestamp: object) -> float:
    """Return GitHub's ISO 8601 `timestamp` as unix seconds, 0 when it is absent or none."""
    try:
        return datetime.fromisoformat(timestamp).timestamp() if isinstance(timestamp, str) else 0.0
    except (ValueError, OverflowError):
        return 0.0


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A repository as far as the token sees it.

    Attributes:
        can_write: the token's user may push, which dispatching needs; None when GitHub does not say (app tokens).
    """

    id: int
    full_name: str
    default_branch: str
    archived: bool
    can_write: bool | None

    @classmethod
    def of(cls, given: object) -> Self:
        """Read one repository object.

        Raises:
            ShapeError: it is none.
        """
        body = whole_object(given)
        permissions = body.get("permissions")
        return cls(
            id=number(body),
            full_name=str(body.get("full_name") or ""),
            default_branch=str(body.get("default_branch") or "main"),
            archived=bool(body.get("archived", False)),
            can_write=bool(permissions.get("push")) if isinstance(permissions, dict) else None,
        )


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """A workflow. `state` is active, or one of the disabled ones."""

    id: int
    name: str
    path: str
    state: str

    @classmethod
    def of(cls, given: object) -> Self:
        """Read one workflow object.

        Raises:
            ShapeError: it is none.
        """
        body = whole_object(given)
        return cls(
            id=number(body),
            name=str(body.get("name") or ""),
            path=str(body.get("path") or ""),
            state=str(body.get("state") or "active"),
        )


@dataclass(frozen=True, kw_only=True)
class Dispatched:
    """The run that a dispatch started, for hosts that say so (github.com since 2026)."""

    run_id: int
    url: str


@dataclass(frozen=True, kw_only=True)
class Run:
    """A workflow run.

    Attributes:
        status: queued, in_progress, completed, waiting (for an approval), requested or pending.
        conclusion: empty until completed; then success, failure, cancelled, timed_out, …
        title: what the workflow's run-name shows; holds the nonce where the workflow prints it.
        actor: login of whoever dispatched it, empty when GitHub does not say.
        created_at: unix seconds, by GitHub's clock; so are started_at and updated_at.
    """

    id: int
    status: str
    conclusion: str
    event: str
    branch: str
    title: str
    actor: str
    url: str
    created_at: float
    started_at: float
    updated_at: float

    @classmethod
    def of(cls, given: object) -> Self:
        """Read one workflow run object.

        Raises:
            ShapeError: it is none.
        """
        body = whole_object(given)
        actor = record(body.get("triggering_actor")) or record(body.get("actor"))
        created = unix_seconds(body.get("created_at"))
        return cls(
            id=number(body),
            status=str(body.get("status") or ""),
            conclusion=str(body.get("conclusion") or ""),
            event=str(body.get("event") or ""),
            branch=str(body.get("head_branch") or ""),
            title=str(body.get("display_title") or body.get("name") or ""),
            actor=str(actor.get("login") or ""),
            url=str(body.get("html_url") or ""),
            created_at=created,
            started_at=unix_seconds(body.get("run_started_at")) or created,
            updated_at=unix_seconds(body.get("updated_at")) or created,
        )

    @property
    def finished(self) -> bool:
        """Tell whether the run has its conclusion."""
        return self.status == "completed"

    @property
    def succeeded(self) -> bool:
        """Tell whether the run ended well; neutral, skipped and cancelled do not count."""
        return self.finished and self.conclusion == "success"
