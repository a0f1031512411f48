"""The file of a backup: what is cut, changed or foreign is refused, and nothing half-written stays."""

from __future__ import annotations

import asyncio
import zipfile
from pathlib import Path

import pytest

from ops.backup_file import Manifest, Table, read_whole, writing
from ops.errors import OpsError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A backup of one table with two rows."""
    path = tmp_path / "backup"
    with writing(path) as writer:
        with writer.table("flow") as taken:
            asyncio.run(taken.write(b"1\tone\n"))
            asyncio.run(taken.write(b"2\ttwo\n"))
        table = Table(name="flow", columns=["id", "name"], rows=taken.rows, size=taken.size, sha256=taken.sha256)
        writer.finish(Manifest(schema="prefect", revision="abc", made_at="2026-11-28", tables=[table]))
    return path


def refused(path: Path) -> str:
    with pytest.raises(OpsError) as raised:
        read_whole(path, lambda _: None)
    return str(raised.value)


def test_a_whole_file(file: Path) -> None:
    """What was written is read again, with its rows and bytes."""
    said: list[str] = []
    manifest = read_whole(file, said.append)
    assert (manifest.revision, manifest.rows, manifest.size) == ("abc", 2, 12)
    assert said == ["backup is whole: 2 rows of 1 tables, 0.0 MB"]


@pytest.mark.parametrize("left", [0, 1, 40, -1])
def test_a_cut_file(file: Path, left: int) -> None:
    """A file that lost its end, however much of it, is refused."""
    content = file.read_bytes()
    file.write_bytes(content[:left])
    assert "was cut off" in refused(file)


def test_a_changed_byte(file: Path) -> None:
    """A byte of the rows that is another one is found."""
    content = bytearray(file.read_bytes())
    content[content.index(b"flow.copy") + len("flow.copy") + 22] ^= 1
    file.write_bytes(content)
    assert "Take another one; nothing was changed." in refused(file)


def test_other_rows(file: Path) -> None:
    """Rows that are not those of the manifest are refused, and so is a table without its rows."""
    with zipfile.ZipFile(file) as source:
        manifest = source.read("manifest.json")
    for name, rows in (("tables/flow.copy", b"1\tone\n3\ttri\n"), ("tables/else.copy", b"")):
        with zipfile.ZipFile(file, "w") as target:
            target.writestr(name, rows)
            target.writestr("manifest.json", manifest)
        assert "the rows of flow are" in refused(file)


@pytest.mark.parametrize(
    "manifest", [None, b"{}", b"[]", b'{"format": "another"}', b'{"format": "prefect-fly backup 1"}']
)
def test_a_foreign_zip(tmp_path: Path, manifest: bytes | None) -> None:
    """A zip of somebody else's, or of another format, is no backup."""
    with zipfile.ZipFile(tmp_path / "zip", "w") as target:
        target.writestr("x", b"") if manifest is None else target.writestr("manifest.json", manifest)
    assert 'could not use backup "' in refused(tmp_path / "zip")


def test_no_such_file(tmp_path: Path) -> None:
    """A name that leads nowhere is told as that."""
    assert "there is no such file" in refused(tmp_path / "none")


def test_a_file_that_is_there_stays(file: Path) -> None:
    """Nothing is written over a file that is there already."""
    before = file.read_bytes()
    with pytest.raises(OpsError, match="it is there already"), writing(file):
        pass
    assert file.read_bytes() == before


def test_nothing_half_written_stays(tmp_path: Path) -> None:
    """What ends before its manifest leaves no file; what a killed one left is written over."""
    (tmp_path / "backup.part").write_bytes(b"left")
    with pytest.raises(ZeroDivisionError), writing(tmp_path / "backup"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
