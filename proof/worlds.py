"""Worlds as operations find them: each made once, kept as files, and copied back for the next case.

A kept world has the ports and the tokens that its state holds, so that one case at a time plays in it. Cases that are
played at the same time have worlds of their own: each process makes its own.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from proof import processes
from proof.operations import OPERATIONS
from proof.stage import Stage, stage
from sandbox.world import WorldError
from tests.support.engine import Engine
from tests.support.stub_world import stub_world
from tests.support.waiting import until


@dataclass
class _World:
    """A world that an operation was prepared in.

    Attributes:
        folder: holds `played`, which the sandbox and the stack live in, and `kept`, which it is copied from.
        engine: of the stack.
        addresses: of the sandbox, with its tokens.
        signature: what there is.
        printed: what the engine has said so far.
    """

    folder: Path
    engine: Engine
    addresses: dict[str, str]
    signature: dict[str, Any]
    printed: tuple[str, ...]

    @classmethod
    def made(cls, folder: Path, operation: str) -> _World:
        """Prepare one."""
        with stage(folder / "played") as made:
            OPERATIONS[operation].prepare(made)
            until(made.at_rest)
            found = cls(folder, made.engine, made.sandbox.env(), made.signature(), tuple(made.engine.output))
        (folder / "played").rename(folder / "kept")
        return found

    @contextmanager
    def played(self) -> Iterator[Stage]:
        """Play in a copy of it.

        Raises:
            WorldError: somebody else has taken one of its ports meanwhile.
        """
        played = self.folder / "played"
        shutil.rmtree(played, ignore_errors=True)
        shutil.copytree(self.folder / "kept", played)
        self.engine.output[:] = self.printed
        try:
            with stub_world(played / "sandbox") as sandbox:
                if sandbox.env() != self.addresses:
                    raise WorldError("could not start the sandbox on the ports of the last time")
                made = Stage(sandbox, self.engine)
                until(lambda: made.at_rest() and made.signature() == self.signature, made.signature)
                yield made
        finally:
            # A killed engine leaves its dynamic providers, which go on with the call that they are in.
            processes.end(processes.with_variable(f"PULUMI_BACKEND_URL={self.engine.variables['PULUMI_BACKEND_URL']}"))


@dataclass
class Worlds:
    """The worlds of all operations below one folder; one of them is played in at a time."""

    folder: Path
    _kept: dict[str, _World] = field(default_factory=dict)

    @contextmanager
    def prepared(self, operation: str) -> Iterator[Stage]:
        """Play in a world in which an operation begins."""
        with ExitStack() as opened:
            yield self._open(operation, opened)

    def _open(self, operation: str, opened: ExitStack) -> Stage:
        if kept := self._kept.get(operation):
            # Where somebody has one of its ports, a new one has others.
            with suppress(WorldError):
                return opened.enter_context(kept.played())
        self._kept[operation] = made = _World.made(Path(tempfile.mkdtemp(dir=self.folder)), operation)
        return opened.enter_context(made.played())
