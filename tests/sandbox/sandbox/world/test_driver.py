"""Which driver the sandbox takes by itself, and what the demo says was left out."""

from __future__ import annotations

import argparse

import pytest

from sandbox import cli
from sandbox.demo import facts
from toolchain.errors import NoBuilderError

DOCKER = "unix:///var/run/docker.sock"


@pytest.mark.parametrize(
    ("docker", "go", "driver"),
    [(DOCKER, True, "container"), (DOCKER, False, "process"), (None, True, "process"), (None, False, "process")],
)
def test_containers_need_docker_and_what_builds_the_registry(
    docker: str | None, go: bool, driver: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With Docker but no Go, as beside an installed Pulumi CLI, machines run as processes, and a line says why."""

    def build(_spec: object) -> None:
        if not go:
            raise NoBuilderError("could not build it")

    monkeypatch.setattr("toolchain.docker_engine.answering_host", lambda: docker)
    monkeypatch.setattr("toolchain.gobuild.build", build)
    monkeypatch.setattr(cli, "prefect_python", lambda: None)
    monkeypatch.setattr(cli, "ensure_base", lambda: None)
    assert cli._driver(argparse.Namespace(driver="auto")) == driver
    said = "Docker answers, but machines run as processes: could not build it\n" if docker and not go else ""
    assert capsys.readouterr().out == said


@pytest.mark.parametrize(("docker", "reason"), [(DOCKER, "machines run as processes here"), (None, "no Docker daemon")])
def test_the_demo_says_why_the_image_was_left_out(
    docker: str | None, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason is the true one also where Docker answers; in containers nothing was left out."""
    monkeypatch.setattr(facts, "answering_host", lambda: docker)
    assert facts.Facts({"SANDBOX_DRIVER": "process"}).left_out.startswith(f"Left out, because {reason}")
    assert facts.Facts({"SANDBOX_DRIVER": "container"}).left_out == ""
