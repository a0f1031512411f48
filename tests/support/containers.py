"""Whether this machine has a Docker engine, and what a container test does without one."""

from __future__ import annotations

import os

import pytest

from toolchain import docker_engine


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
