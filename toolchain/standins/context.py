"""A build context as the daemon gets it: which files, their one hash, and the archive.

The hash covers path, mode and content (or a link's target), not times; what `.dockerignore` excludes does not count.
The Dockerfile counts under a fixed name, wherever it lies.
"""

from __future__ import annotations

import hashlib
import io
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

from docker.utils import exclude_paths

from toolchain.standins.server import PluginError

_OUTSIDE = ".dockerfile.outside-the-context"


class Context:
    """The folder a build reads.

    Args:
        folder: the context, relative to the program's folder or absolute.
        dockerfile: its Dockerfile, relative to the program's folder or absolute; may lie outside the context.

    Raises:
        PluginError: the Dockerfile is not there; the text names the likely path if there is one.
    """

    def __init__(self, folder: str, dockerfile: str | None) -> None:
        self._folder = Path(folder)
        self._dockerfile = Path(dockerfile) if dockerfile else self._folder / "Dockerfile"
        if not self._dockerfile.is_file():
            raise PluginError(self._missing())

    @property
    def dockerfile_name(self) -> str:
        """The Dockerfile's path from the context, as the state records it."""
        here, there = self._folder.resolve(), self._dockerfile.resolve()
        return str(there.relative_to(here)) if there.is_relative_to(here) else f"../{there.name}"

    def digest(self) -> str:
        """SHA-256 over everything the build can see."""
        total = hashlib.sha256()
        total.update(b"Dockerfile" + hashlib.sha256(self._dockerfile.read_bytes()).digest() + b"\0")
        for name in self._files():
            path = self._folder / name
            mode = path.lstat().st_mode
            content = str(path.readlink()).encode() if stat.S_ISLNK(mode) else path.read_bytes()
            total.update(name.encode() + stat.filemode(mode).encode() + hashlib.sha256(content).digest() + b"\0")
        return total.hexdigest()

    def archive(self) -> tuple[io.BytesIO, str]:
        """The context as a tar owned by root, and the Dockerfile's name in it."""
        buffer = io.BytesIO()
        name = self.dockerfile_name
        inside = not name.startswith("../")
        # BuildKit recognises an archive by its first header, which must therefore not be a PAX one.
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
            for entry in sorted(self._entries()):
                archive.add(self._folder / entry, arcname=entry, recursive=False, filter=_root_owned)
            if not inside:
                archive.add(self._dockerfile, arcname=_OUTSIDE, filter=_root_owned)
        buffer.seek(0)
        return buffer, name if inside else _OUTSIDE

    def _files(self) -> Iterator[str]:
        for name in sorted(self._entries()):
            path = self._folder / name
            if path.is_symlink() or not path.is_dir():
                yield name

    def _entries(self) -> set[str]:
        name = "" if self._dockerfile.name == "Dockerfile" else self._dockerfile.name
        ignore = self._folder / f"{name}.dockerignore"
        lines = ignore.read_text().splitlines() if ignore.is_file() else []
        patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        kept = self.dockerfile_name
        # The daemon needs the Dockerfile even where the file ignores it.
        return set(exclude_paths(str(self._folder.resolve()), patterns, dockerfile=kept))

    def _missing(self) -> str:
        path = self._dockerfile
        if path.is_absolute():
            return f"could not open dockerfile at absolute path {path}: no such file"
        likely = self._folder / path
        advice = f' Try setting `dockerfile` to "{likely}"' if likely.is_file() else ""
        return f"could not open dockerfile at relative path {path}: no such file.{advice}"


def _root_owned(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = int(entry.mtime)
    return entry
