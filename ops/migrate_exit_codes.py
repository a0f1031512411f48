"""What the exit codes of the image's verbs mean, and what to do about each.

docker/prefect/prefect_server/exit_codes.py is the other end; a test keeps the two alike. The image says in its own
words what it met; here stands what the person in front of `pulumi up` can do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

OK = 0
NEW_BESIDE_OTHERS = 22


@dataclass(frozen=True)
class Meaning:
    """A cause, for the middle of a sentence, and the sentence of what to do next."""

    cause: str
    advice: str


MEANINGS: Mapping[int, Meaning] = {
    1: Meaning("it failed", "Read the log above."),
    10: Meaning(
        "the database could not be reached",
        "Check host and port of databaseUrl, and that the database accepts connections from Fly.",
    ),
    11: Meaning(
        "the database's host name could not be resolved",
        "Copy the connection string again; a direct Supabase host resolves to IPv6 only, which Fly machines have.",
    ),
    12: Meaning(
        "the database refused the user name or password",
        'Set the right one with "pulumi config set --secret databaseUrl".',
    ),
    13: Meaning("there is no such database", "Create it, or correct the last part of databaseUrl."),
    14: Meaning(
        "the database role lacks a privilege",
        "Let an administrator run the SQL that the log above shows.",
    ),
    15: Meaning(
        "no TLS connection to the database could be made",
        "Set databaseCa to the database's root certificate, or database.requireTls: false for one without TLS.",
    ),
    16: Meaning(
        "the schema holds the migrations of another application",
        "Set database.schema to a name of its own.",
    ),
    17: Meaning(
        "the database was migrated by a newer image already",
        "Deploy that image again or a newer one; docs/upgrade.md shows the way back.",
    ),
    18: Meaning(
        "it did not finish in time",
        "Raise timeouts.migrate, and see whether another session holds a lock on the schema.",
    ),
    19: Meaning("a setting was refused", "Correct the setting that the log above names."),
    20: Meaning(
        "the tables are not where they should be",
        "Set database.schema to a new name: another Prefect may be using the public schema.",
    ),
    21: Meaning(
        "the schema holds the tables of a Prefect 2",
        "Set database.schema to a new name; the old tables stay as they are, for a Prefect 2 to read.",
    ),
    NEW_BESIDE_OTHERS: Meaning(
        "it is done, in a new schema beside that of another Prefect",
        "To go on with that one's history set database.schema to its name and run again; else nothing is left to do.",
    ),
    23: Meaning(
        "the copy of the schema that is made before an upgrade would not fit",
        "Raise database.sizeLimitMb if there is more room, or make a backup and set database.whenTooLarge: skip.",
    ),
    24: Meaning("the copy of the schema cannot be used", "Take one of those that are there, or a backup."),
    25: Meaning("a server still uses the database", "Stop what runs against this schema and run it again."),
}


def meaning(exit_code: int) -> Meaning:
    """Return what `exit_code` means. A code that is not in the table does not come from our image."""
    unknown = Meaning(
        f"it ended with exit code {exit_code}, which our image never uses",
        "Use an image built from docker/prefect: image.reference needs its entry point.",
    )
    return MEANINGS.get(exit_code, unknown)
