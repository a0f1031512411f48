"""Makes one binary from one committed go.mod, once per content.

A build lives in `.toolchain/builds/<name>-<hash>/`, where the hash covers the go.mod, the go.sum, our own Go files and
the flags. It is made in a scratch folder and renamed into place, so a folder of that name is always complete; an
interrupted build leaves only scratch, which the next one sweeps away. Go's own cache keeps what was compiled already.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

from toolchain.errors import BuildFailedError, NoBuilderError, UnsupportedPlatformError
from toolchain.locks import exclusive
from toolchain.pins import GITHUB, LANGUAGE_PYTHON, MINIMUM_GO, PULUMI, SUPPORTED_PLATFORMS, GoBuild
from toolchain.places import BUILDS, KEEP, SCRATCH, SOURCES
from toolchain.progress import Step, run_step

_ENGINE = (PULUMI, LANGUAGE_PYTHON, GITHUB)


def build(spec: GoBuild) -> Path:
    """The folder holding the spec's binary and scripts, built first if this content was not built yet.

    Raises:
        NoBuilderError: it must be built and no recent enough `go` is on PATH.
        UnsupportedPlatformError: it must be built and this machine is not a stated platform.
        BuildFailedError: the compiler or the module proxy said no.
    """
    target = BUILDS / f"{spec.name}-{content_hash(spec)}"
    if target.is_dir():
        return target
    with exclusive(f"build-{spec.name}"):
        if not target.is_dir():
            _build_into(spec, target)
            sweep_older(spec.name, target)
    return target


def assemble(name: str, parts: list[Path]) -> Path:
    """One folder with the files of several builds side by side, made once per combination of builds."""
    target = BUILDS / f"{name}-{hashlib.sha256(' '.join(part.name for part in parts).encode()).hexdigest()[:12]}"
    with exclusive(f"build-{name}"):
        if not target.is_dir():
            scratch = SCRATCH / name
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir(parents=True)
            for file in (file for part in parts for file in part.iterdir()):
                os.link(file, scratch / file.name)
            scratch.rename(target)
            sweep_older(name, target)
    return target


def content_hash(spec: GoBuild, sources: Path = SOURCES) -> str:
    """What the build depends on, as 12 hex digits."""
    digest = hashlib.sha256(f"{spec!r} {this_platform()}".encode())
    for path in sorted((sources / "go" / spec.name).iterdir()):
        if path.suffix in {".go", ".mod", ".sum"}:
            digest.update(f"\0{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def this_platform() -> str:
    """Operating system and processor, such as linux-x86_64."""
    return f"{platform.system().lower()}-{platform.machine()}"


def require_go(spec: GoBuild) -> str:
    """Path of a `go` that can build a spec; the sentence without one depends on it, because a CLI replaces the engine.

    Raises:
        NoBuilderError: there is none, or it is too old.
        UnsupportedPlatformError: this machine is not a stated platform.
    """
    if this_platform() not in SUPPORTED_PLATFORMS:
        known = ", ".join(SUPPORTED_PLATFORMS)
        raise UnsupportedPlatformError(f"could not build the tools on {this_platform()}: only {known} are supported.")
    go = shutil.which("go")
    wanted = ".".join(map(str, MINIMUM_GO))
    way_out = f"install {'the Pulumi CLI, or ' if spec in _ENGINE else ''}Go {wanted} or later."
    if go is None:
        what = "find a fitting `pulumi` nor `go` on PATH" if spec in _ENGINE else f"build {spec.label} without `go`"
        raise NoBuilderError(f"could not {what}: {way_out}")
    said = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"go(\d+)\.(\d+)", said)
    if found is None or (int(found[1]), int(found[2])) < MINIMUM_GO:
        raise NoBuilderError(f"could not build the tools with {said.strip() or go}: {way_out}")
    return go


def _build_into(spec: GoBuild, target: Path) -> None:
    go = require_go(spec)
    scratch = SCRATCH / spec.name
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    step = Step(f"building {spec.label}")
    source = SOURCES / "go" / spec.name
    env = _go_environment()
    argv = [go, "build", "-trimpath", "-buildvcs=false", "-ldflags", spec.ldflags, "-tags", spec.tags]
    log = KEEP / "logs" / f"{spec.name}.log"
    log.unlink(missing_ok=True)
    argv += ["-o", str(scratch / spec.binary), spec.package]
    run_step(step, argv, cwd=source, env=env, verb=f"build {spec.name}", log=log)
    for module, path in spec.scripts:
        _copy_script(go, source, env, module, path, scratch)
    BUILDS.mkdir(parents=True, exist_ok=True)
    scratch.rename(target)
    step.done()


def _go_environment() -> dict[str, str]:
    # A user's own GOFLAGS or workspace file must not change what the pins mean; no C compiler is needed.
    return {**os.environ, "GOFLAGS": "-mod=readonly", "GOWORK": "off", "CGO_ENABLED": "0"}


def _copy_script(go: str, source: Path, env: dict[str, str], module: str, path: str, into: Path) -> None:
    argv = [go, "list", "-m", "-f", "{{.Dir}}", module]
    listed = subprocess.run(argv, cwd=source, env=env, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        raise BuildFailedError(f"could not find the Go module {module}: {listed.stderr.strip()}")
    script = Path(listed.stdout.strip()) / path
    copy = into / script.name
    shutil.copyfile(script, copy)
    copy.chmod(0o755)


def sweep_older(name: str, target: Path) -> None:
    """Remove the builds of that name but this one."""
    for path in BUILDS.glob(f"{name}-*"):
        if path != target and re.fullmatch(rf"{re.escape(name)}-[0-9a-f]{{12}}", path.name):
            shutil.rmtree(path, ignore_errors=True)
