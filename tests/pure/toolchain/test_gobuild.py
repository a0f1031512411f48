"""When a binary is built, and what an interrupted build leaves. A fake `go` stands in for the compiler."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from toolchain import gobuild, pins
from toolchain.errors import BuildFailedError, NoBuilderError, UnsupportedPlatformError
from toolchain.pins import GoBuild

SPEC = GoBuild(name="tool", package=".", binary="tool", label="a tool")

FAKE_GO = """\
#!/bin/sh
case "$1" in
env) echo {version} ;;
build)
    echo built >> {log}
    while [ "$1" != -o ]; do shift; done
    echo partial > "$2"
    {then}
    ;;
esac
"""


class Workshop:
    """A toolchain in a folder of its own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.sources = folder / "toolchain"
        (self.sources / "go" / "tool").mkdir(parents=True)
        (self.sources / "go" / "tool" / "go.mod").write_text("module tool\n")
        (folder / "bin").mkdir()
        self.go()
        monkeypatch.setenv("PATH", f"{folder}/bin:/usr/bin:/bin")
        for name in ("BUILDS", "SCRATCH", "KEEP"):
            monkeypatch.setattr(gobuild, name, folder / name.lower())
        monkeypatch.setattr(gobuild, "SOURCES", self.sources)
        monkeypatch.setattr(gobuild.content_hash, "__defaults__", (self.sources,))
        monkeypatch.setattr("toolchain.locks.LOCKS", folder / "locks")

    def go(self, version: str = "go1.26.8", then: str = "true") -> None:
        """Put a `go` of that version on PATH, which does `then` once it wrote half a binary."""
        program = self.folder / "bin" / "go"
        program.write_text(FAKE_GO.format(version=version, log=self.folder / "log", then=then))
        program.chmod(0o755)

    def builds(self) -> int:
        """How often something was compiled."""
        log = self.folder / "log"
        return len(log.read_text().splitlines()) if log.exists() else 0


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    return Workshop(tmp_path, monkeypatch)


def test_a_build_is_made_once(workshop: Workshop) -> None:
    """The same content is compiled once, and its folder holds the binary."""
    first = gobuild.build(SPEC)
    assert gobuild.build(SPEC) == first
    assert (first / "tool").is_file()
    assert workshop.builds() == 1


@pytest.mark.parametrize("name", ["go.mod", "go.sum", "main.go"])
def test_a_changed_pin_builds_anew_and_sweeps_the_old(workshop: Workshop, name: str) -> None:
    """A changed go.mod, go.sum or source gives another folder, and the outdated one goes."""
    first = gobuild.build(SPEC)
    (workshop.sources / "go" / "tool" / name).write_text("changed\n")
    second = gobuild.build(SPEC)
    assert first != second
    assert not first.exists()
    assert workshop.builds() == 2


def test_a_changed_note_builds_nothing(workshop: Workshop) -> None:
    """A file that the compiler does not read is not part of the hash."""
    gobuild.build(SPEC)
    (workshop.sources / "go" / "tool" / "README.md").write_text("a note\n")
    gobuild.build(SPEC)
    assert workshop.builds() == 1


def test_an_interrupted_build_is_never_taken_for_a_finished_one(workshop: Workshop) -> None:
    """A compiler that dies after writing half a binary leaves no build; the next run makes a whole one."""
    workshop.go(then="kill -9 $$")
    with pytest.raises(BuildFailedError, match="could not build tool"):
        gobuild.build(SPEC)
    assert not list((workshop.folder / "builds").glob("tool-*"))
    workshop.go()
    assert (gobuild.build(SPEC) / "tool").is_file()
    assert workshop.builds() == 2


def test_leftovers_of_a_killed_run_do_not_end_up_in_a_build(workshop: Workshop) -> None:
    """Scratch of a run that was killed is swept before the next one."""
    scratch = workshop.folder / "scratch" / "tool"
    scratch.mkdir(parents=True)
    (scratch / "half").touch()
    assert [path.name for path in gobuild.build(SPEC).iterdir()] == ["tool"]


def test_a_failing_compiler_is_quoted(workshop: Workshop) -> None:
    """The error holds what the compiler said, its exit code and where the whole log is."""
    workshop.go(then="echo 'module lookup disabled' >&2; exit 3")
    with pytest.raises(BuildFailedError, match=r"exit code 3; the whole log is .*/tool\.log\).*\n.*lookup disabled"):
        gobuild.build(SPEC)


def test_two_at_once_build_once(workshop: Workshop) -> None:
    """Two processes' worth of callers at the same time get the same folder from one compilation."""
    found: list[Path] = []
    callers = [threading.Thread(target=lambda: found.append(gobuild.build(SPEC))) for _ in range(2)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(set(found)) == 1
    assert workshop.builds() == 1


def test_a_finished_build_needs_no_go(workshop: Workshop) -> None:
    """Once built, nothing asks for a compiler again."""
    first = gobuild.build(SPEC)
    (workshop.folder / "bin" / "go").unlink()
    assert gobuild.build(SPEC) == first


@pytest.mark.parametrize("version", ["go1.25.9", "go1.9", "devel"])
def test_an_old_go_is_refused_with_one_sentence(workshop: Workshop, version: str) -> None:
    """A compiler older than the modules need is named, with what to install."""
    workshop.go(version=version)
    with pytest.raises(NoBuilderError, match=f"could not build the tools with {version}: install Go 1"):
        gobuild.build(SPEC)


def test_an_unstated_platform_is_refused(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A platform that nobody tried gets a sentence instead of a strange compiler error."""
    monkeypatch.setattr(gobuild, "this_platform", lambda: "plan9-mips")
    with pytest.raises(UnsupportedPlatformError, match="could not build the tools on plan9-mips: only linux-x86_64"):
        gobuild.build(SPEC)


def test_builds_are_put_side_by_side(workshop: Workshop) -> None:
    """One folder holds the files of several builds, and is made again when one of them changes."""
    parts = [gobuild.build(SPEC)]
    first = gobuild.assemble("engine", parts)
    assert gobuild.assemble("engine", parts) == first
    (workshop.sources / "go" / "tool" / "go.sum").write_text("changed\n")
    second = gobuild.assemble("engine", [gobuild.build(SPEC)])
    assert (second / "tool").is_file()
    assert not first.exists()


def test_every_pinned_build_is_committed() -> None:
    """Each binary of the pins has its go.mod and go.sum in the tree, and every checksum the build needs."""
    for spec in (pins.PULUMI, pins.LANGUAGE_PYTHON, pins.GITHUB, pins.REGISTRY):
        folder = Path(gobuild.__file__).parent / "go" / spec.name
        assert (folder / "go.mod").read_text().startswith(f"module prefect-fly/toolchain/{spec.name}\n")
        assert (folder / "go.sum").stat().st_size > 1000
