"""The context's hash, against digests that the real plugin's steps gave.

The literals were printed by a Go program that does what hashContext of pulumi-docker's provider.go does, over the
modules that it uses (tonistiigi/fsutil v0.0.0-20230825212630-f09800878302, moby/patternmatcher v0.6.0), on trees made
by `tree`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from toolchain.standins.context import Context
from toolchain.standins.ignore import Ignore, read_patterns
from toolchain.standins.server import PluginError

FILES = {
    "Dockerfile": ("FROM scratch\nCOPY . /\n", 0o644),
    "a.txt": ("beside the folder a", 0o644),
    "a/b": ("in it", 0o755),
    "a/cache/one.pyc": ("compiled", 0o600),
    "a-b": ("", 0o444),
    "set/uid": ("x", 0o4755),
    "set/sticky": ("y", 0o1644),
    "é/ü": ("ä", 0o640),
    "logs/kept.log": ("1", 0o644),
    "logs/noise.log": ("2", 0o644),
}
LINKS = {"link": "a.txt", "a/up": "../logs/kept.log", "to-folder": "a/../set", "twice": "link"}


def tree(folder: Path) -> None:
    """Make the context `app` in the folder, with modes that no umask changes."""
    for name, (content, mode) in FILES.items():
        path = folder / "app" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(mode)
    for name, target in LINKS.items():
        (folder / "app" / name).symlink_to(target)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program's folder, from which relative paths start, as the plugin's own."""
    tree(tmp_path)
    monkeypatch.chdir(tmp_path)


def test_a_whole_tree() -> None:
    """Names, modes and links of every kind, in the plugin's order: a.txt comes before what is in a."""
    assert Context("app", None).digest() == "0c014377f9d4b67267238e0f56e37b46d5f2dac4081cf51db573611dc621c36c"


@pytest.mark.parametrize(
    ("ignored", "digest"),
    [
        ("# logs\n*.txt\n**/*.pyc\n", "2f049eadf34f8ee68f9b251f27f361658c3cf0cb1e73ebec6b575e0da8c2cd21"),
        ("*\n!a\n!logs/kept.log\n", "0f6bff113cd377113569c9a267d4aa8f7a5e5c4daa5d154085c35fb3a4725c23"),
        ("logs/*\n!logs/kept.log\n/a/cache/\n", "218dabe2ea5c24a657fc4f58a4c4435dc0218958984187a56ba412ff3f5135dd"),
        ("**/*.log\n!**/kept.log\n", "461886dfda456b676a08009c6f832f42b82ebda863515ca48466cbca996d2579"),
        (" a \nset/**\n[l]ink\n?-b\na\\-b\n", "4ab7a388212c76d64c9fe342204cf9a3d01c0ad769a7734ed05d3dec6fe90cf4"),
        ("Dockerfile\n.dockerignore\n", "b7172b3c2f80383ca2c9b4e213e74297bc8d4eea5913f28cee0311249889593f"),
    ],
)
def test_a_tree_with_an_ignore_file(ignored: str, digest: str) -> None:
    """What patterns leave out, exceptions bring back, and comments say does not count."""
    Path("app/.dockerignore").write_text(ignored)
    Path("app/.dockerignore").chmod(0o644)
    assert Context("app", "app/Dockerfile").digest() == digest


def test_a_dockerfile_beside_the_context_with_an_ignore_file_of_its_own() -> None:
    """It counts under the name Dockerfile, and its own ignore file is the one that holds."""
    Path("Other").write_text("FROM scratch\nLABEL a=b\n")
    Path("Other.dockerignore").write_text("**\n!a.txt\n")
    Path("app/.dockerignore").write_text("a.txt\n")
    assert Context("app", "Other").digest() == "313b9f9db53dbe6d9c928571f86c142d1caf3567b154a4a64b299c870b2d19ac"


def test_a_link_that_leads_nowhere_is_refused() -> None:
    """The real plugin silently leaves the rest of such a link's folder out of its hash; a stand-in says so."""
    Path("app/broken").symlink_to("nowhere")
    with pytest.raises(PluginError, match="could not evaluate symlink at app/broken: app/nowhere: no such file"):
        Context("app", None).digest()
    Path("app/broken").unlink()
    Path("app/broken").symlink_to("broken")
    with pytest.raises(PluginError, match="too many links"):
        Context("app", None).digest()


def test_an_absolute_link_gives_an_absolute_destination(tmp_path: Path) -> None:
    """The hash then depends on where the target lies, as it does with the real plugin."""
    Path("app/link").unlink()
    Path("app/link").symlink_to(tmp_path / "app" / "a.txt")
    absolute = Context("app", None).digest()
    Path("app/link").unlink()
    Path("app/link").symlink_to("a.txt")
    assert absolute != Context("app", None).digest()


def test_a_pattern_that_is_none_is_a_sentence() -> None:
    """A lone mark and an open bracket are refused with the pattern in the text."""
    for pattern in ("!", "[a"):
        with pytest.raises(PluginError, match="could not read the ignore pattern"):
            Ignore(read_patterns(pattern))
