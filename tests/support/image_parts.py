"""What whoever can pull an image can read: names and contents of its layers' files, its configuration, its history."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import docker


def image_parts(engine: docker.DockerClient, image: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Each part of an image, as where it is and its text: `file …`, `name of …`, `document …`, `history`, `inspect`.

    Every layer counts, also for what a later one hides. Text is one character a byte.

    Args:
        engine: has the image.
        image: its id or name.
        folder: where the image's archive is kept while it is read.
    """
    yield "history", json.dumps(engine.images.get(image).history())
    yield "inspect", json.dumps(engine.images.get(image).attrs)
    saved = folder / "image.tar"
    with saved.open("wb") as written:
        for chunk in engine.images.get(image).save():
            written.write(chunk)
    try:
        with tarfile.open(saved) as archive:
            for member in archive:
                if (content := archive.extractfile(member)) is not None:
                    yield from _of_blob(member.name, content)
    finally:
        saved.unlink()


def _of_blob(name: str, content: IO[bytes]) -> Iterator[tuple[str, str]]:
    """The parts of a layer, or a document whole: to an image's archive both are plain files."""
    is_layer = tarfile.is_tarfile(content)
    content.seek(0)
    if not is_layer:
        yield f"document {name}", content.read().decode("latin-1")
        return
    with tarfile.open(fileobj=content) as layer:
        for member in layer:
            yield f"name of {member.name}", json.dumps([member.name, member.linkname, member.pax_headers])
            if (file := layer.extractfile(member) if member.isfile() else None) is not None:
                yield f"file {member.name}", file.read().decode("latin-1")
