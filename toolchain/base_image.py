"""The image that docker/prefect's Dockerfile starts from: the official one, or a plain Debian with Python made here.

The Dockerfile installs everything from its hashed lock, so any base with Python 3.11 gives the same server.
Where no image can be pulled, a base is made once by debootstrap and kept as an archive, from which an engine imports it
in seconds. Certificate authorities this machine was told to trust (behind a proxy that inspects TLS) go in as well,
or nothing could be installed on top.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import docker
from docker.errors import DockerException, ImageNotFound

from toolchain.errors import BuildFailedError
from toolchain.locks import exclusive
from toolchain.places import KEEP, ROOT
from toolchain.progress import Step, run_step

DOCKERFILE = ROOT / "docker" / "prefect" / "Dockerfile"
LOCAL_TAG = "prefect-fly/base:bookworm-python3.11"
_SUITE = "bookworm"
_PACKAGES = "python3,python3-venv,ca-certificates"
_OWN_AUTHORITIES = Path("/usr/local/share/ca-certificates")
_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
_RECIPE_LABEL = "prefect-fly.base-recipe"
_PULL_SECONDS = 600
# As in the official slim images: nothing that only people read, nothing that apt can fetch again.
_THROWN_AWAY = (
    *("./var/cache/", "./var/lib/apt/lists/", "./var/log/", "./dev/", "./proc/", "./sys/"),
    *("./usr/share/doc/", "./usr/share/man/", "./usr/share/locale/", "./usr/share/info/", "./usr/share/lintian/"),
)


def ensure_base(host: str | None = None) -> str:
    """An image that the engine at that address has: the Dockerfile's own base if it can be had, else one made here.

    Args:
        host: the engine's address; DOCKER_HOST or the usual socket without it.

    Raises:
        BuildFailedError: none can be pulled, and this machine cannot make one (not root, no debootstrap).
        docker.errors.DockerException: the engine does not answer.
    """
    client = docker.DockerClient(base_url=host or os.environ.get("DOCKER_HOST"), version="auto", timeout=_PULL_SECONDS)
    try:
        official = official_base()
        if _has(client, official) or _pull(client, official):
            return official
        recipe = _recipe()
        if not _has(client, LOCAL_TAG, recipe):
            _import(client, base_archive(), recipe)
        return LOCAL_TAG
    finally:
        client.close()


def official_base(dockerfile: Path = DOCKERFILE) -> str:
    """What `ARG BASE_IMAGE=` in the Dockerfile names."""
    found = re.search(r"^ARG BASE_IMAGE=(\S+)", dockerfile.read_text(), re.MULTILINE)
    if found is None:
        raise BuildFailedError(f"could not find the base image: {dockerfile} has no line `ARG BASE_IMAGE=…`.")
    return found[1]


def base_archive() -> Path:
    """The archive of a minimal Debian with Python 3.11 and venv; made on first use, in about a minute."""
    archive = KEEP / "base-image" / f"{_recipe()}.tar"
    if not archive.is_file():
        with exclusive("base-image"):
            if not archive.is_file():
                _make(archive)
    return archive


def _make(archive: Path) -> None:
    debootstrap = shutil.which("debootstrap", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if debootstrap is None or os.geteuid() != 0:
        raise BuildFailedError(
            f"could not make a base image: {official_base()} cannot be pulled here, and making one needs root and "
            "debootstrap. Install debootstrap and run it as root, or set image.reference to an image built elsewhere."
        )
    archive.parent.mkdir(parents=True, exist_ok=True)
    root = archive.parent / "root"
    shutil.rmtree(root, ignore_errors=True)
    step = Step("making a base image from Debian's packages (about a minute)")
    log = KEEP / "logs" / "base-image.log"
    log.unlink(missing_ok=True)
    argv = [debootstrap, "--variant=minbase", f"--include={_PACKAGES}", _SUITE, str(root), *_mirror()]
    run_step(step, argv, cwd=archive.parent, env=os.environ, verb="make a base image", log=log)
    _finish(root, step, log)
    partial = archive.with_suffix(".partial")
    with tarfile.open(partial, "w") as tar:
        tar.add(root, arcname=".", filter=_worth_keeping)
    partial.rename(archive)
    shutil.rmtree(root, ignore_errors=True)
    step.done()


def _finish(root: Path, step: Step, log: Path) -> None:
    """Make it look like the official base: `python` works plainly; our own authorities are trusted."""
    for name in ("python", "python3.11"):
        link = root / "usr" / "local" / "bin" / name
        link.unlink(missing_ok=True)
        link.symlink_to("/usr/bin/python3.11")
    for marker in (root / "usr" / "lib").glob("python3*/EXTERNALLY-MANAGED"):
        marker.unlink()
    for certificate in _own_authorities():
        shutil.copy(certificate, root / "usr" / "local" / "share" / "ca-certificates" / certificate.name)
    argv = ["chroot", str(root), "update-ca-certificates"]
    run_step(step, argv, cwd=root, env=os.environ, verb="make a base image", log=log)


def _worth_keeping(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if entry.name.startswith(_THROWN_AWAY) and not entry.isdir() else entry


def _import(client: docker.DockerClient, archive: Path, recipe: str) -> None:
    repository, _, tag = LOCAL_TAG.rpartition(":")
    changes = [f"LABEL {_RECIPE_LABEL}={recipe}", f"ENV PIP_CERT={_AUTHORITIES}", 'CMD ["python3"]']
    changes.append("ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    with archive.open("rb") as tar:
        # An iterator, not the file: requests would send a file whole, beside the package's "chunked" header.
        chunks = iter(lambda: tar.read(1 << 20), b"")
        answer = client.api.import_image_from_stream(chunks, repository=repository, tag=tag, changes=changes)
    if "error" in str(answer):
        raise BuildFailedError(f"could not import the base image: {answer}")


def _has(client: docker.DockerClient, reference: str, recipe: str | None = None) -> bool:
    try:
        image = client.images.get(reference)
    except ImageNotFound:
        return False
    return recipe is None or image.labels.get(_RECIPE_LABEL) == recipe


def _pull(client: docker.DockerClient, reference: str) -> bool:
    try:
        client.images.pull(reference, platform="linux/amd64")
    except DockerException:
        # Whatever the reason, the answer is the same: make one.
        return False
    return True


def _recipe() -> str:
    digest = hashlib.sha256(f"{_SUITE} {_PACKAGES} {_RECIPE_LABEL} 2".encode())
    for certificate in _own_authorities():
        digest.update(certificate.read_bytes())
    return digest.hexdigest()[:12]


def _own_authorities() -> list[Path]:
    return sorted(_OWN_AUTHORITIES.glob("*.crt")) if _OWN_AUTHORITIES.is_dir() else []


def _mirror() -> list[str]:
    """The mirror that apt itself uses; none, which leaves the choice to debootstrap, where apt names none."""
    argv = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)"]
    try:
        listed = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    except OSError:
        return []
    return [line.split()[0] for line in listed.splitlines() if line.split()[1:] == [_SUITE]][:1]
