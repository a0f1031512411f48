"""The file of a backup: a zip with each table's rows as Postgres's COPY writes them, and a manifest as its last entry.

The manifest holds rows, bytes and SHA-256 of each table, so a file that was cut, changed or is something else is known
before anything is done with it. The file holds everything that the server knows, the secrets of its blocks included: it
is readable by its owner alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

from ops.errors import OpsError

FORMAT = "prefect-fly backup 1"
_MANIFEST = "manifest.json"
_PIECE = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table in the file. `size` (bytes) and `sha256` are of its rows as COPY writes them."""

    name: str
    columns: Sequence[str]
    rows: int
    size: int
    sha256: str

    @property
    def entry(self) -> str:
        """Its name in the zip."""
        return f"tables/{self.name}.copy"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What the file holds. `revision` is that of Prefect's schema; `made_at` is ISO 8601, by the database's clock."""

    schema: str
    revision: str
    made_at: str
    tables: Sequence[Table]

    @property
    def rows(self) -> int:
        """Of all tables."""
        return sum(table.rows for table in self.tables)

    @property
    def size(self) -> int:
        """Bytes of all tables, not compressed."""
        return sum(table.size for table in self.tables)


@dataclass
class TableWriter:
    """Takes a table's rows as they come, and counts."""

    _stream: IO[bytes]
    size: int = 0
    rows: int = 0
    _digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    async def write(self, piece: bytes) -> None:
        """Take the next piece; in COPY's text a line is a row."""
        self._stream.write(piece)
        self._digest.update(piece)
        self.size += len(piece)
        self.rows += piece.count(b"\n")

    @property
    def sha256(self) -> str:
        """Of what was written."""
        return self._digest.hexdigest()


class BackupWriter:
    """Writes a backup; made by `writing`."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    @contextmanager
    def table(self, name: str) -> Iterator[TableWriter]:
        """Lend the writer of one table."""
        with self._archive.open(f"tables/{name}.copy", "w", force_zip64=True) as stream:
            yield TableWriter(stream)

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest, without which the file is no backup."""
        self._archive.writestr(_MANIFEST, json.dumps({"format": FORMAT} | asdict(manifest)))


@contextmanager
def writing(path: Path) -> Iterator[BackupWriter]:
    """Write to `path`.part, which becomes `path` when the block has ended well and is removed when not.

    Raises:
        OpsError: the file is there already, or cannot be written.
    """
    if path.exists():
        raise OpsError(f'could not write backup "{path}": it is there already. Give another name, or remove it.')
    part = path.with_name(f"{path.name}.part")
    try:
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
                yield BackupWriter(archive)
            stream.flush()
            os.fsync(stream.fileno())
        part.rename(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OpsError(f'could not write backup "{path}": {error.strerror or error}. Give another place.') from error
    except BaseException:  # ^C as well: what was begun is put back, and it is raised again
        part.unlink(missing_ok=True)
        raise


def read_whole(path: Path, progress: Callable[[str], None]) -> Manifest:
    """Read the whole file and hold it against its manifest.

    Raises:
        OpsError: it is no backup, or not all of one.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = _manifest(archive, path)
            for table in manifest.tables:
                _hold(archive, table, path)
    except FileNotFoundError as error:
        raise OpsError(f'could not read backup "{path}": there is no such file. Check the name.') from error
    except (OSError, EOFError, zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError) as error:
        raise _refusal(path, f"it is no backup of ours, or was cut off ({error})") from error
    progress(f"{path.name} is whole: {manifest.rows} rows of {len(manifest.tables)} tables, {megabytes(manifest.size)}")
    return manifest


def _manifest(archive: zipfile.ZipFile, path: Path) -> Manifest:
    try:
        said = json.loads(archive.read(_MANIFEST))
        if said.pop("format") != FORMAT:
            raise _refusal(path, "its format is another one")
        return Manifest(**said | {"tables": [Table(**each) for each in said["tables"]]})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _refusal(path, "it is no backup of ours: it has no manifest") from error


def _hold(archive: zipfile.ZipFile, table: Table, path: Path) -> None:
    rows, size, digest = 0, 0, hashlib.sha256()
    try:
        with archive.open(table.entry) as stream:
            while piece := stream.read(_PIECE):
                digest.update(piece)
                rows, size = rows + piece.count(b"\n"), size + len(piece)
    except KeyError as error:
        raise _refusal(path, f"the rows of {table.name} are missing") from error
    if (rows, size, digest.hexdigest()) != (table.rows, table.size, table.sha256):
        raise _refusal(path, f"the rows of {table.name} are not those that were saved")


def _refusal(path: Path, why: str) -> OpsError:
    return OpsError(f'could not use backup "{path}": {why}. Take another one; nothing was changed.')


@contextmanager
def rows_of(path: Path, table: Table) -> Iterator[IO[bytes]]:
    """Lend a stream of a table's rows."""
    with zipfile.ZipFile(path) as archive, archive.open(table.entry) as stream:
        yield stream


def megabytes(size: float) -> str:
    """Return a size for people."""
    return f"{size / 1024**2:.1f} MB"
