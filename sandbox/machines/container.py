"""Machines as containers of a Docker engine: the image that was pushed, with the machine's memory and swap limits.

A container uses the host's network and listens on the machine's own loopback address. Its variables go to the engine
over its API and never stand on a command line. Images that only exist as a process here (the sample orchestrator) are
run by the process driver.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.models.containers import Container
from docker.utils import socket as docker_socket

from sandbox.images import Images
from sandbox.machines.driver import BootError, Exit, ImageNotFoundError, Launch, Log, Output
from sandbox.machines.lines import Lines
from sandbox.machines.process import ProcessDriver, ProcessProgram

_LABEL = "prefect-fly.sandbox"
_CALL_SECONDS = 300
_WORKERS = 32
# An engine that does not end the output of a container that has ended must not hold the machine's end for good.
_OUTPUT_SECONDS = 60


class ContainerProgram:
    """One container, whose output goes to `log`; it has ended when all of that is there."""

    def __init__(self, container: Container, pool: ThreadPoolExecutor, log: Log) -> None:
        self._container = container
        self._pool = pool
        loop = asyncio.get_running_loop()
        arguments = (container, lambda line: loop.call_soon_threadsafe(log, line))
        self._copying = threading.Thread(target=_copy_lines, args=arguments, daemon=True)
        self._copying.start()
        self._end: asyncio.Future[Exit] = asyncio.ensure_future(self._wait())

    async def wait(self) -> Exit:
        """Wait for its end."""
        return await asyncio.shield(self._end)

    async def send(self, number: signal.Signals) -> None:
        """Send a signal to its first process."""
        await self._call(self._container.kill, signal=number.value)

    async def kill(self) -> None:
        """Kill it."""
        await self._call(self._container.kill)

    async def pause(self) -> None:
        """Freeze it."""
        await self._call(self._container.pause)

    async def resume(self) -> None:
        """Let it go on, if it is frozen."""
        await self._call(self._container.unpause)

    async def run(self, command: Sequence[str], timeout: float, stdin: str = "") -> Output:  # noqa: ASYNC109 - the API's
        """Run a command in it."""
        try:
            return await asyncio.wait_for(self._in_thread(self._run, list(command), stdin), timeout)
        except TimeoutError:
            return Output(124, stderr="deadline_exceeded")

    def _run(self, command: list[str], stdin: str) -> Output:
        client: Any = self._container.client
        api = client.api
        begun = api.exec_create(self._container.id, command, stdin=True)["Id"]
        stream = api.exec_start(begun, socket=True)
        raw: Any = getattr(stream, "_sock", stream)
        # Closing the stream alone leaves the socket below it open.
        with contextlib.closing(raw), contextlib.closing(stream):
            raw.sendall(stdin.encode())
            raw.shutdown(socket.SHUT_WR)
            frames: Any = docker_socket
            pieces = (frames.demux_adaptor(*frame) for frame in frames.frames_iter(stream, tty=False))
            out, err = frames.consume_socket_output(pieces, demux=True)
        code = api.exec_inspect(begun)["ExitCode"] or 0
        return Output(code, (out or b"").decode(errors="replace"), (err or b"").decode(errors="replace"))

    async def _wait(self) -> Exit:
        result = await self._in_thread(self._container.wait)
        # With the container the engine removes what was not read.
        await self._in_thread(self._copying.join, _OUTPUT_SECONDS)
        code, oom_killed = int(result["StatusCode"]), False
        with contextlib.suppress(DockerException):
            await self._in_thread(self._container.reload)
            oom_killed = bool(self._container.attrs["State"].get("OOMKilled"))
            await self._in_thread(self._container.remove, force=True)
        return Exit(code, signal=code - 128 if code > 128 else 0, oom_killed=oom_killed)

    async def _call(self, method: Any, **arguments: Any) -> None:
        # A container that has ended, or is not paused, answers with an error that means: nothing to do.
        with contextlib.suppress(APIError):
            await self._in_thread(method, **arguments)

    async def _in_thread(self, method: Any, *arguments: Any, **named: Any) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: method(*arguments, **named))


class ContainerDriver:
    """Runs machines as containers.

    Args:
        images: which images only exist as processes.
        folder: for those, and to tell this sandbox's containers from another's.
        host: the engine's address; DOCKER_HOST or the usual socket without it.

    Raises:
        docker.errors.DockerException: no engine answers.
    """

    name = "container"
    real_checks = True

    def __init__(self, images: Images, folder: Path, host: str | None = None) -> None:
        self._images = images
        self._processes = ProcessDriver(images, folder)
        self._mine = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]
        options: dict[str, Any] = {"timeout": _CALL_SECONDS}
        self._client = docker.DockerClient(base_url=host, **options) if host else docker.from_env(**options)
        # Every machine holds one thread for as long as it runs: it waits for the container's end.
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="machines")
        self._sweep()

    async def resolve(self, image: str) -> str:
        """Return the digest the registry has the image under."""
        if self._images.process_only(image):
            return await self._processes.resolve(image)
        if image in self._images.missing:
            raise ImageNotFoundError(image)
        try:
            data = await self._in_thread(self._client.images.get_registry_data, image)
        except (ImageNotFound, NotFound, APIError) as problem:
            raise ImageNotFoundError(image) from problem
        return str(data.id)

    async def boot(self, launch: Launch, log: Log) -> ContainerProgram | ProcessProgram:
        """Pull the image if need be and start a container of it."""
        if self._images.process_only(launch.image):
            return await self._processes.boot(launch, log)
        try:
            container = await self._in_thread(self._create, launch)
            await self._in_thread(container.start)
        except (DockerException, requests.RequestException) as problem:
            raise BootError(f"could not start the container: {_reason(problem)}") from problem
        return ContainerProgram(container, self._pool, log)

    def check(self, launch_app: str, machine_id: str, path: str) -> tuple[bool, str]:
        """Refuse: this driver's checks are made over the network."""
        raise NotImplementedError

    async def close(self) -> None:
        """Remove what is left and let go of the engine."""
        await self._in_thread(self._sweep)
        await self._processes.close()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def _create(self, launch: Launch) -> Container:
        try:
            self._client.images.get(launch.image)
        except ImageNotFound:
            self._client.images.pull(launch.image)
        environment = {**launch.environment, "HOST": launch.private_ip, "PREFECT_SERVER_API_HOST": launch.private_ip}
        return self._client.containers.create(
            launch.image,
            command=list(launch.arguments) or None,
            entrypoint=list(launch.entrypoint) or None,
            environment=environment,
            labels={_LABEL: self._mine},
            mem_limit=f"{launch.memory_mb}m",
            memswap_limit=f"{launch.memory_mb + launch.swap_mb}m",
            name=f"prefect-fly-{self._mine}-{launch.machine_id}",
            network_mode="host",
        )

    def _sweep(self) -> None:
        """Remove containers of this sandbox, also those an earlier one left when it was killed."""
        for container in self._client.containers.list(all=True, filters={"label": f"{_LABEL}={self._mine}"}):
            with contextlib.suppress(APIError):
                container.remove(force=True)

    async def _in_thread(self, method: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: method(*arguments))


def _copy_lines(container: Container, log: Log) -> None:
    lines = Lines(log)
    # The stream ends with the container, or breaks when the sandbox stops and its loop is closed.
    with contextlib.suppress(DockerException, requests.RequestException, RuntimeError, ValueError):
        for chunk in _output(container):
            lines.add(chunk)
        lines.end()


def _output(container: Container) -> Iterator[bytes]:
    stream: Iterator[bytes] = container.logs(stream=True, follow=True)
    return stream


def _reason(problem: Exception) -> str:
    """Return what the engine said; the request, which holds the variables, is not part of it."""
    return str(problem.explanation) if isinstance(problem, APIError) else type(problem).__name__
