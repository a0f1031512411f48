"""Exit codes of the image's verbs: an interface (docs/migrate-exit-codes.md), so a number never changes its meaning."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Why a verb ended."""

    OK = 0
    OTHER = 1
    UNREACHABLE = 10
    NAME_NOT_RESOLVABLE = 11
    BAD_PASSWORD = 12
    NO_SUCH_DATABASE = 13
    MISSING_PRIVILEGE = 14
    TLS_REFUSED = 15
    FOREIGN_ALEMBIC = 16
    SCHEMA_NEWER = 17
    TIMEOUT = 18
    BAD_SETTINGS = 19
    TABLES_MISPLACED = 20
    PREFECT_2 = 21
    NEW_BESIDE_OTHERS = 22
    SNAPSHOT_TOO_LARGE = 23
    NO_SNAPSHOT = 24
    SERVER_RUNNING = 25


class VerbError(Exception):
    """A verb cannot go on. The text is one sentence for people and holds no secret."""

    def __init__(self, code: ExitCode, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
