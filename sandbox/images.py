"""Which images the sandbox can run, and what each means as a plain process.

The process driver runs the program an image would have run, from the same source and the same locked packages. An
image is recognised by its repository's name; the digest of a process image is that of the source tree it stands for,
so that a change to the source is a new image here too.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SERVER_SOURCE = ROOT / "docker" / "prefect"
ORCHESTRATOR_PROGRAM = ROOT / "sandbox" / "orchestrator" / "app.py"
_IGNORED_PARTS = frozenset({"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"})


@dataclass(frozen=True)
class Reference:
    """The parts of an image reference."""

    registry: str
    repository: str
    tag: str
    digest: str

    @property
    def name(self) -> str:
        """Return the last part of the repository."""
        return self.repository.rsplit("/", 1)[-1]


def parse_reference(text: str) -> Reference:
    """Split an image reference the way docker does; without registry it is docker.io's."""
    rest, _, digest = text.partition("@")
    head, slash, tail = rest.partition("/")
    has_registry = bool(slash) and ("." in head or ":" in head or head == "localhost")
    registry, path = (head, tail) if has_registry else ("docker-hub-mirror.fly.io", rest)
    repository, _, tag = path.partition(":")
    return Reference(registry, repository, tag or ("" if digest else "latest"), digest)


@dataclass(frozen=True)
class Command:
    """How to run an image as a process: its argv and what its environment holds besides the machine's."""

    argv: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Program:
    """What images whose repository name matches `pattern` (shell style) run, given the machine's `init.cmd`.

    `process_only` says that no such image exists, so that the container driver runs the process too.
    """

    pattern: str
    command: Callable[[Sequence[str]], Command]
    process_only: bool = False


class ProgramError(Exception):
    """An image cannot be run as a process; the text says why."""


class UnknownImageError(ProgramError):
    """No program is registered for an image."""


def _prefect_python() -> str:
    # Only the process driver needs the environment, and only when it runs one of these two programs.
    from toolchain.errors import ToolchainError  # noqa: PLC0415
    from toolchain.prefect_env import prefect_python  # noqa: PLC0415

    try:
        return str(prefect_python())
    except ToolchainError as problem:
        raise ProgramError(str(problem)) from problem


def _server(arguments: Sequence[str]) -> Command:
    if tuple(arguments[:1]) == ("prefect",):  # a server set up by hand, from an image of the same name: stock Prefect
        return Command((_prefect_python(), "-m", *arguments))
    argv = (_prefect_python(), "-m", "prefect_server", *(arguments or ("serve",)))
    return Command(argv, (("PYTHONPATH", str(SERVER_SOURCE)),))


def _orchestrator(arguments: Sequence[str]) -> Command:
    return Command((_prefect_python(), str(ORCHESTRATOR_PROGRAM), *arguments))


class Images:
    """The programs that stand for images, tried in order; tests register their own in front.

    Attributes:
        programs: what is known.
        missing: exact references that the registry is to have lost.
    """

    def __init__(self) -> None:
        self.programs = [Program("*orchestrator*", _orchestrator, process_only=True), Program("*prefect*", _server)]
        self.missing: set[str] = set()

    def register(self, pattern: str, command: Callable[[Sequence[str]], Command]) -> None:
        """Let images whose repository name matches `pattern` run `command(init.cmd)`."""
        self.programs.insert(0, Program(pattern, command))

    def known(self, image: str) -> bool:
        """Tell whether a program stands for this image."""
        name = parse_reference(image).name
        return image not in self.missing and any(fnmatch.fnmatch(name, program.pattern) for program in self.programs)

    def process_only(self, image: str) -> bool:
        """Tell whether this image only exists as a process."""
        name = parse_reference(image).name
        return next((p.process_only for p in self.programs if fnmatch.fnmatch(name, p.pattern)), False)

    def command(self, image: str, arguments: Sequence[str]) -> Command:
        """Return how to run an image.

        Raises:
            UnknownImageError: nothing is registered for it.
            ProgramError: what it needs cannot be had.
        """
        name = parse_reference(image).name
        for program in self.programs:
            if fnmatch.fnmatch(name, program.pattern):
                return program.command(arguments)
        raise UnknownImageError(f'no program stands for the image "{image}"')


def tree_digest(folder: Path) -> str:
    """Return the sha256 hex of a folder's files: relative paths, whether executable, and contents; caches left out."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not _IGNORED_PARTS.intersection(path.relative_to(folder).parts):
            digest.update(f"{path.relative_to(folder).as_posix()}\0{int(os.access(path, os.X_OK))}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def reference_digest(image: str) -> str:
    """Return the digest an image is reported with: its own, or one made from its name when it has only a tag."""
    reference = parse_reference(image)
    return reference.digest or "sha256:" + hashlib.sha256(image.encode()).hexdigest()


def process_image_reference(registry: str, name: str) -> str:
    """Return the reference, by digest, under which the process driver runs docker/prefect."""
    return f"{registry}/{name}@sha256:{tree_digest(SERVER_SOURCE)}"
