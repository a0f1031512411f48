"""Who runs a program that refuses to be root, and a folder which that user can reach.

Started by root, such a program runs as `nobody`. Where that user could not reach the place wanted (a checkout below
/root, pytest's private temporary folder), the folder is made under the system's temporary directory, and the place is
a link to it. Started by anybody else, the program runs as that user, in the very place.

The rights are given up by the child itself, before it becomes the program, and not by `subprocess`, which would have to
fork for it: a fork runs the handlers of whatever library is loaded (gRPC's start threads in the child), and one of them
has ended a child before it was a database.
"""

from __future__ import annotations

import os
import pwd
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PREFIX = "prefect-fly-postgres-"
_BELONGS_TO = "belongs-to"


@dataclass(frozen=True)
class Account:
    """Who runs the program: None ids when it is whoever runs the sandbox."""

    uid: int | None
    gid: int | None

    @classmethod
    def unprivileged(cls) -> Account:
        """Return the user to run as."""
        if os.geteuid() != 0:
            return cls(None, None)
        entry = pwd.getpwnam("nobody")
        return cls(entry.pw_uid, entry.pw_gid)

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command that runs `argv`, which begins with a program's path, as this user."""
        if self.uid is None:
            return [*argv]
        return [sys.executable, "-I", "-S", __file__, str(self.uid), str(self.gid), *argv]

    def own(self, path: Path) -> None:
        """Give a file or folder to this user."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def can_reach(self, path: Path) -> bool:
        """Tell whether every folder above `path` lets this user through."""
        if self.uid is None:
            return True
        return all(folder.stat().st_mode & 0o001 for folder in path.resolve().parents)


def folder_for(account: Account, place: Path) -> Path:
    """Return the folder that `place` is or leads to, made if need be, owned by the user and closed to others."""
    if not place.is_dir():
        place.unlink(missing_ok=True)  # a link whose target the system's cleaner took
        if account.can_reach(place):
            place.mkdir(mode=0o700)
        else:
            _sweep()
            aside = Path(tempfile.mkdtemp(prefix=_PREFIX))
            aside.chmod(0o711)
            (aside / "data").mkdir(mode=0o700)
            place.symlink_to(aside / "data")
            # Last: a folder without this note is in the making, and another sandbox's sweep leaves it alone.
            (aside / _BELONGS_TO).write_text(str(place.absolute()))
        account.own(place.resolve())
    return place.resolve()


def remove_folder(place: Path) -> None:
    """Delete the folder that `place` is or leads to."""
    if place.is_symlink():
        shutil.rmtree(place.resolve().parent, ignore_errors=True)
        place.unlink()
    else:
        shutil.rmtree(place, ignore_errors=True)


def _sweep() -> None:
    """Delete folders whose place has been deleted since: nothing leads to them any more."""
    for aside in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        # Other sandboxes remove theirs meanwhile.
        with suppress(FileNotFoundError):
            if _is_left(aside):
                shutil.rmtree(aside, ignore_errors=True)


def _is_left(aside: Path) -> bool:
    """Tell whether it is ours, whole, and its place no longer leads to it."""
    note = aside / _BELONGS_TO
    if aside.stat().st_uid != os.geteuid() or not note.is_file():
        return False
    place = Path(note.read_text())
    return not (place.is_symlink() and place.readlink() == aside / "data")


def main(argv: Sequence[str]) -> None:
    """Become the program `argv[2]` with the arguments after it, as the user `argv[0]` of the group `argv[1]` alone."""
    uid, gid, *command = argv
    os.setgroups([])
    os.setgid(int(gid))
    os.setuid(int(uid))
    os.execv(command[0], command)  # noqa: S606 - the very command that it was started for


if __name__ == "__main__":
    main(sys.argv[1:])
