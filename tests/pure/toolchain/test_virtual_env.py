"""When .venv and Prefect's environment are made, and that a half-made one is made again. A fake pip stands in."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolchain import prefect_env, virtual_env
from toolchain.errors import BuildFailedError


class Root:
    """A checkout with pin files, and a record of the programs that would have run."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.calls: list[list[str]] = []
        self.failing = False
        for name in virtual_env.PIN_FILES:
            (folder / name).write_text(f"{name}==1\n")
        (folder / "requirements.lock").write_text("prefect==1 --hash=sha256:00\n")
        monkeypatch.setattr("toolchain.locks.LOCKS", folder / "locks")
        for module in (virtual_env, prefect_env):
            monkeypatch.setattr(module, "KEEP", folder / "keep")
            monkeypatch.setattr(module, "run_step", self._run)

    def _run(self, _step: object, argv: list[str | Path], **_keywords: object) -> None:
        words = [str(word) for word in argv]
        self.calls.append(words)
        if "venv" in words:
            python = Path(words[-1]) / "bin" / "python"
            python.parent.mkdir(parents=True, exist_ok=True)
            python.touch()
        elif self.failing:
            raise BuildFailedError("could not install: no")

    def venv(self) -> Path:
        """Make the project's environment ready."""
        return virtual_env.ensure_venv(self.folder, self.folder / "venv")

    def prefect(self) -> Path:
        """Make Prefect's environment ready."""
        return prefect_env.prefect_python(self.folder / "requirements.lock")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Root:
    return Root(tmp_path, monkeypatch)


def test_the_venv_is_made_once(root: Root) -> None:
    """The second call starts nothing."""
    assert root.venv() == root.folder / "venv" / "bin" / "python"
    count = len(root.calls)
    root.venv()
    assert len(root.calls) == count == 2


def test_a_changed_pin_is_installed_into_the_same_venv(root: Root) -> None:
    """A new pin runs pip again, with all three files, and does not make the environment anew."""
    root.venv()
    (root.folder / "requirements-dev.txt").write_text("another==2\n")
    root.venv()
    assert len(root.calls) == 3
    assert "venv" not in root.calls[2]
    assert set(virtual_env.PIN_FILES) <= set(root.calls[2])


def test_an_interrupted_install_is_done_again(root: Root) -> None:
    """A pip that failed leaves no stamp, so the next call installs."""
    root.failing = True
    with pytest.raises(BuildFailedError):
        root.venv()
    root.failing = False
    root.venv()
    assert "install" in root.calls[-1]


def test_another_python_is_refused_with_one_sentence(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only Python 3.11 makes .venv; the sentence says how to name one."""
    monkeypatch.setattr(virtual_env, "_WANTED_PYTHON", (3, 99))
    with pytest.raises(BuildFailedError, match=r"could not make \.venv with Python 3\.\d+: install Python 3\.11"):
        root.venv()


def test_prefects_environment_is_made_once_per_lock(root: Root) -> None:
    """One environment per content of the lock; hashes are required and nothing outside the lock is resolved."""
    first = root.prefect()
    assert root.prefect() == first
    assert len(root.calls) == 2
    assert {"--require-hashes", "--no-deps"} <= set(root.calls[1])
    (root.folder / "requirements.lock").write_text("prefect==2 --hash=sha256:00\n")
    assert root.prefect() != first


def test_a_half_made_prefect_environment_is_made_again(root: Root) -> None:
    """Without its marker an environment is thrown away and made from the start."""
    root.failing = True
    with pytest.raises(BuildFailedError):
        root.prefect()
    (leftover,) = (root.folder / "keep").glob("prefect-*")
    (leftover / "half").touch()
    root.failing = False
    root.prefect()
    assert not (leftover / "half").exists()


def test_a_missing_lock_is_named(root: Root) -> None:
    """Without the lock there is one sentence."""
    with pytest.raises(
        BuildFailedError, match=r"could not install Prefect's locked packages .*nowhere\.lock is missing"
    ):
        prefect_env.prefect_python(root.folder / "nowhere.lock")
