"""What `serve` and `services` look at before Prefect is imported: the database, and whether `migrate` has run."""

from __future__ import annotations

import asyncio
import logging
from importlib.util import find_spec
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]

from prefect_server import database, own_tables, schema
from prefect_server.exit_codes import ExitCode, VerbError
from prefect_server.settings import ServerSettings

logger = logging.getLogger("prefect_fly")

# A database that restarts while the machine boots is given this long before the machine's restart policy takes over.
ATTEMPTS = 4
PAUSE_SECONDS = 3.0
_MAY_PASS = {ExitCode.UNREACHABLE, ExitCode.NAME_NOT_RESOLVABLE}


def prefect_folder() -> Path:
    """Where the installed Prefect is, without importing it.

    Raises:
        VerbError: it is not installed.
    """
    spec = find_spec("prefect")
    if spec is None or spec.origin is None:
        raise VerbError(ExitCode.OTHER, "could not find Prefect: it is not installed beside this program")
    return Path(spec.origin).parent


async def inspect_with_retries(settings: ServerSettings) -> tuple[schema.Layout, list[str]]:
    """Look at the database, a few times when it cannot be reached.

    Returns:
        Where Prefect's tables are, and the steps of our own tables that are missing.

    Raises:
        VerbError: it cannot be used; the code says why.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            async with database.connection(settings) as lent:
                return await schema.inspect(lent, settings.schema), await own_tables.missing_steps(
                    lent, settings.schema
                )
        except asyncpg.InsufficientPrivilegeError as error:
            raise VerbError(
                ExitCode.MISSING_PRIVILEGE,
                f'could not read schema "{own_tables.own_schema(settings.schema)}": the role lacks a privilege; '
                "run migrate, which names the SQL",
            ) from error
        except VerbError as error:
            if error.code not in _MAY_PASS or attempt == ATTEMPTS:
                raise
            logger.warning("%s; trying again", error)
            await asyncio.sleep(PAUSE_SECONDS)
    raise AssertionError("unreachable")


def require_migrated(layout: schema.Layout, revisions: schema.Revisions) -> None:
    """Refuse a database that `migrate` of this image has not been run on.

    A newer schema is only warned about: it is what an image that was put back finds, Prefect's migrations keep what an
    older server reads, and a server that refused could not be put back at all.

    Raises:
        VerbError: the tables are missing or older than this image.
    """
    if not layout.readable:
        raise VerbError(
            ExitCode.MISSING_PRIVILEGE,
            f'could not read schema "{layout.schema}": the role lacks a privilege; run migrate, which names the SQL',
        )
    if not layout.has_tables or layout.revision is None:
        raise VerbError(
            ExitCode.TABLES_MISPLACED,
            f'could not find Prefect\'s tables in schema "{layout.schema}": migrate was not run on this database',
        )
    if layout.revision == revisions.head:
        return
    if layout.revision in revisions.known:
        raise VerbError(
            ExitCode.TABLES_MISPLACED,
            f'could not use schema "{layout.schema}": it is at {layout.revision}, this image needs '
            f"{revisions.head}; migrate was not run with this image",
        )
    logger.warning(
        'schema "%s" is at %s, newer than this image (%s): run a newer image again soon',
        layout.schema,
        layout.revision,
        revisions.head,
    )


def look(settings: ServerSettings) -> schema.Layout:
    """Check the database from a program that has no event loop yet.

    Raises:
        VerbError: see `inspect_with_retries` and `require_migrated`.
    """
    layout, missing = asyncio.run(inspect_with_retries(settings))
    require_migrated(layout, schema.installed_revisions(schema.prefect_migrations(prefect_folder())))
    if missing:
        raise VerbError(
            ExitCode.TABLES_MISPLACED,
            f'could not use schema "{own_tables.own_schema(layout.schema)}": it lacks {", ".join(missing)}; '
            "migrate was not run with this image",
        )
    return layout
