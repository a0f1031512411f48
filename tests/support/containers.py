"""Whether this machine has a Docker engine, what a container test does without one, and the image in its containers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from tests.support.prefect_server import Program, answers
from tests.support.waiting import until
from toolchain import docker_engine
from toolchain.base_image import ensure_base
from toolchain.docker_engine import build_network
from toolchain.standins.context import Context
from toolchain.standins.daemon import build

TAG = "prefect-fly/image-test:1"
MEGABYTE = 1024 * 1024


def require_docker() -> str:
    """The address of an engine that answers.

    Without one the test is skipped, but where CI says that one can be had (PREFECT_FLY_REQUIRE_DOCKER), it fails.
    """
    host = docker_engine.answering_host()
    if host is not None:
        return host
    sentence = "no Docker engine answers at DOCKER_HOST or the usual socket"
    if os.environ.get(docker_engine.REQUIRED_VARIABLE):
        pytest.fail(f"{sentence}, and {docker_engine.REQUIRED_VARIABLE} says that there must be one")
    pytest.skip(sentence)


def made(engine: docker.DockerClient, folder: Path) -> str:
    """Build a folder as the program does and give the image's id."""
    host = require_docker()
    args = {"args": {"BASE_IMAGE": ensure_base(host)}, "platform": "linux/amd64", "network": build_network(host)}
    build(engine, {"imageName": TAG, "build": args}, Context(str(folder), None), lambda _line: None)
    return str(engine.images.get(TAG).id)


@contextmanager
def container(
    engine: docker.DockerClient, image: str, verb: str, environ: dict[str, str], *, memory: int, swap: int
) -> Iterator[Container]:
    """Run a verb as Fly would, with this much memory and swap (MB)."""
    running = engine.containers.run(
        image,
        [verb],
        environment=environ,
        network_mode="host",
        detach=True,
        mem_limit=memory * MEGABYTE,
        memswap_limit=(memory + swap) * MEGABYTE,
    )
    try:
        yield running
    finally:
        running.remove(force=True)


def output_of(engine: docker.DockerClient, image: str, command: list[str]) -> str:
    """Run a command in a container without a network, and return all that it printed.

    Docker's client has this as one call, which removes the container before it has read the output: what was not read
    by then is missing without an error.
    """
    running = engine.containers.run(image, entrypoint=command, command=[], network_mode="none", detach=True)
    try:
        code = running.wait()["StatusCode"]
        printed = running.logs().decode()
    finally:
        running.remove(force=True)
    assert code == 0, printed
    return str(printed)


def wait_until_ready(program: Program, serving: Container) -> None:
    """Return when the server in the container is ready."""
    until(lambda: answers(f"{program.api_url}/ready"), lambda: serving.logs().decode())
