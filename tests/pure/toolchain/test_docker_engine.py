"""How a Docker engine is looked for. A few lines of HTTP on a socket stand in for one."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from toolchain import base_image, docker_engine
from toolchain.errors import BuildFailedError, EngineUnavailableError


@contextmanager
def engine(folder: Path, networks: list[str], status: int = 200) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps([{"Driver": driver} for driver in networks]).encode()
            self.send_response(status if self.path == "/_ping" else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self) -> str:
            return "unix"

        def log_message(self, *_arguments: object) -> None:
            return

    with socketserver.ThreadingUnixStreamServer(str(folder / "s"), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"unix://{folder}/s"
        finally:
            server.shutdown()
            thread.join()


def test_an_engine_that_answers_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DOCKER_HOST is believed when it answers a ping."""
    with engine(tmp_path, ["bridge"]) as host:
        monkeypatch.setenv("DOCKER_HOST", host)
        assert docker_engine.answering_host() == host


def test_one_that_is_dead_or_ill_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No socket, an error status and an address of another kind all mean: none."""
    with engine(tmp_path, [], status=500) as host:
        monkeypatch.setenv("DOCKER_HOST", host)
        assert docker_engine.answering_host() is None
    for address in (f"unix://{tmp_path}/nothing", "ssh://somewhere", "tcp://127.0.0.1:1"):
        assert not docker_engine.answers(address)


@pytest.mark.parametrize(("networks", "mode"), [(["bridge", "host", "null"], None), (["host", "null"], "host")])
def test_without_a_bridge_builds_use_the_hosts_network(tmp_path: Path, networks: list[str], mode: str | None) -> None:
    """Only an engine that was started without a bridge needs another mode."""
    with engine(tmp_path, networks) as host:
        assert docker_engine.build_network(host) == mode


def test_a_private_engine_that_dies_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When no variant starts, the sentence quotes the last log and no folder stays behind."""
    dockerd = tmp_path / "dockerd"
    dockerd.write_text("#!/bin/sh\necho kernel says no >&2\nexit 1\n")
    dockerd.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(EngineUnavailableError, match="could not start a Docker engine: kernel says no"):
        docker_engine.start_private()
    assert list(tmp_path.glob("prefect-fly-docker-*")) == []


def test_the_official_base_is_read_from_the_dockerfile(tmp_path: Path) -> None:
    """The Dockerfile's own default is the base that is tried first; without one there is a sentence."""
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("# a comment\nARG BASE_IMAGE=example/base:1\nFROM ${BASE_IMAGE}\n")
    assert base_image.official_base(dockerfile) == "example/base:1"
    dockerfile.write_text("FROM scratch\n")
    with pytest.raises(BuildFailedError, match="has no line `ARG BASE_IMAGE="):
        base_image.official_base(dockerfile)


def test_without_root_or_debootstrap_the_sentence_says_what_else_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that can neither pull nor make a base is told its two ways out."""
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("ARG BASE_IMAGE=example/base:1\n")
    monkeypatch.setattr(base_image.official_base, "__defaults__", (dockerfile,))
    monkeypatch.setattr(base_image, "KEEP", tmp_path)
    monkeypatch.setattr("toolchain.locks.LOCKS", tmp_path / "locks")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(BuildFailedError, match=r"example/base:1 cannot be pulled here.* or set image\.reference"):
        base_image.base_archive()
