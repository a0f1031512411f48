"""What the mutation tests work on: the copy, and the list of files in pyproject.toml."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

from toolchain.mutate import copied
from toolchain.places import ROOT


def test_the_copy_holds_what_git_knows_and_the_images_package_by_its_name(tmp_path: Path) -> None:
    """Below src/, so that its path is its name; what is not git's stays away, and what an earlier run left goes."""
    root, copy = tmp_path / "root", tmp_path / "copy"
    for name in ("clients/a.py", "docker/prefect/prefect_server/b.py", "docker/prefect/Dockerfile", "mine.env"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    subprocess.run(["git", "add", "clients", "docker"], cwd=root, check=True)
    copy.mkdir()
    (copy / "mutants").mkdir()
    copied(root, copy)
    found = {str(path.relative_to(copy)): path.read_text() for path in copy.rglob("*") if path.is_file()}
    assert found == {
        "clients/a.py": "clients/a.py",
        "src/prefect_server/b.py": "docker/prefect/prefect_server/b.py",
        "docker/prefect/Dockerfile": "docker/prefect/Dockerfile",
    }
    assert not (copy / "mutants").exists()


def test_every_file_that_is_mutated_and_every_test_that_runs_is_there() -> None:
    """A file that was renamed would be left out without a word."""
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]
    named = [*stated["only_mutate"], *stated["pytest_add_cli_args_test_selection"], *stated["also_copy"]]
    places = [name.replace("src/", "docker/prefect/", 1) for name in named]
    assert [place for place in places if not list(ROOT.glob(place))] == []
