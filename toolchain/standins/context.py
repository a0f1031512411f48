"""A build context as the daemon gets it: which files, their one hash, and the archive.

The hash covers path, mode and content (or where a link leads), not times; what `.dockerignore` excludes does not count.
The Dockerfile counts under a fixed name, wherever it lies. It is the hash that the real docker plugin writes into the
state (hashContext in pulumi-docker's provider.go).
"""

from __future__ import annotations

import hashlib
import io
import stat
import tarfile
from pathlib import Path

from toolchain.standins.ignore import Ignore, read_patterns
from toolchain.standins.server import PluginError

_OUTSIDE = ".dockerfile.outside-the-context"
_MOST_LINKS = 255


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
        """SHA-256 over everything the build can see, to the letter as the real plugin computes it.

        Each file gives its path, its mode as Go prints it, and the digest of its content (for a link, of the path it
        leads to). A laptop with the real plugin and a machine with this one then agree on what has changed.
        """
        total = hashlib.sha256()
        _add(total, "Dockerfile", 0, self._dockerfile.read_bytes())
        for name in Ignore(self._ignored()).kept(self._folder):
            path = self._folder / name
            mode = path.lstat().st_mode
            if not stat.S_ISDIR(mode):
                _add(total, name, mode, _content(path, mode))
        return total.hexdigest()

    def archive(self) -> tuple[io.BytesIO, str]:
        """The context as a tar owned by root, and the Dockerfile's name in it."""
        buffer = io.BytesIO()
        name = self.dockerfile_name
        inside = not name.startswith("../")
        # The daemon needs these two even where the file ignores them.
        ignore = Ignore([*self._ignored(), "!.dockerignore", *([f"!{name}"] if inside else [])])
        # BuildKit recognises an archive by its first header, which must therefore not be a PAX one.
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
            for entry in ignore.kept(self._folder):
                archive.add(self._folder / entry, arcname=entry, recursive=False, filter=_root_owned)
            if not inside:
                archive.add(self._dockerfile, arcname=_OUTSIDE, filter=_root_owned)
        buffer.seek(0)
        return buffer, name if inside else _OUTSIDE

    def _ignored(self) -> list[str]:
        """The patterns of the Dockerfile's own ignore file, or else of the context's."""
        for file in (
            self._dockerfile.with_name(f"{self._dockerfile.name}.dockerignore"),
            self._folder / ".dockerignore",
        ):
            if file.is_file():
                return read_patterns(file.read_text(encoding="utf-8"))
        return []

    def _missing(self) -> str:
        path = self._dockerfile
        said = f"stat {path}: no such file or directory"
        if path.is_absolute():
            return f'expected a relative Dockerfile path; got "{path}" instead: {said}'
        likely = self._folder / path
        advice = f'. Try setting `dockerfile` to "{likely}"' if likely.is_file() else f": {said}"
        return f'could not open dockerfile at relative path "{path}"{advice}'


def _root_owned(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = int(entry.mtime)
    return entry


def _add(total: hashlib._Hash, name: str, mode: int, content: bytes) -> None:
    total.update(name.encode() + _mode_text(mode).encode() + hashlib.sha256(content).digest() + b"\0")


def _content(path: Path, mode: int) -> bytes:
    if stat.S_ISLNK(mode):
        return _destination(str(path)).encode()
    return path.read_bytes() if stat.S_ISREG(mode) else b""


def _mode_text(mode: int) -> str:
    """A mode as Go's fs.FileMode prints it: not as `ls` does, where links and set-uid files look different."""
    kinds = (
        ("L", stat.S_ISLNK(mode)),
        ("D", stat.S_ISBLK(mode) or stat.S_ISCHR(mode)),
        ("p", stat.S_ISFIFO(mode)),
        ("u", mode & stat.S_ISUID),
        ("g", mode & stat.S_ISGID),
        ("c", stat.S_ISCHR(mode)),
        ("t", mode & stat.S_ISVTX),
    )
    kind = "".join(letter for letter, holds in kinds if holds) or "-"
    return kind + "".join(letter if mode & 0o400 >> bit else "-" for bit, letter in enumerate("rwx" * 3))


def _destination(path: str) -> str:
    """Where a link leads, as Go's filepath.EvalSymlinks says it: a relative path stays relative until a link is not."""
    root, done = ("/" if path.startswith("/") else ""), list[str]()
    todo = path.split("/")[::-1]
    followed = 0
    while todo:
        part = todo.pop()
        if part == ".." and (root or (done and done[-1] != "..")):
            done = done[:-1]
        elif part not in ("", "."):
            here = Path(root + "/".join([*done, part]))
            if not here.is_symlink():
                if part != ".." and not here.exists():
                    raise PluginError(f"could not evaluate symlink at {path}: {here}: no such file or directory")
                done.append(part)
                continue
            followed += 1
            if followed > _MOST_LINKS:
                raise PluginError(f"could not evaluate symlink at {path}: too many links")
            target = str(here.readlink())
            root, done = ("/", []) if target.startswith("/") else (root, done)
            todo += target.split("/")[::-1]
    return root + "/".join(done) or "."
