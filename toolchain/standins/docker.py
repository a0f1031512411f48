"""Stands in for pulumi-resource-docker: the one type `docker:index/image:Image`.

The daemon is asked for a sign of life when the engine configures the plugin, also for a preview or a destroy. The state
holds the inputs under the secret `__inputs`, and the plugin's answer holds no other input, so a registry password is
nowhere in plain state.
"""

from __future__ import annotations

import asyncio
import platform
import posixpath
from collections.abc import Mapping
from typing import Any

from toolchain.pins import DOCKER_PLUGIN
from toolchain.standins import daemon, protocol
from toolchain.standins.context import Context
from toolchain.standins.protocol import UNKNOWN, Properties, PropertyValue
from toolchain.standins.server import Log, PluginError, serve
from toolchain.standins.values import differences, plain, plain_map, top_level, wrap
from toolchain.standins.world import require_loopback_registry

IMAGE_TYPE = "docker:index/image:Image"
_INPUTS = "__inputs"
_CREDENTIALS = ("registry.username", "registry.password")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


class DockerProvider(protocol.Provider):
    """Builds and pushes an image when the engine creates or updates it; deleting removes nothing.

    Args:
        log: where the build's lines are shown.
    """

    def __init__(self, log: Log) -> None:
        super().__init__()
        # Nothing is built in a preview.
        self.supports_preview = False
        self._log = log
        self._host: str | None = None

    async def configure(self, variables: Mapping[str, str]) -> None:
        """Fail at once without a daemon."""
        self._host = variables.get("docker:config:host")
        await asyncio.to_thread(daemon.connect, self._host)

    async def check(self, request: protocol.CheckRequest) -> protocol.CheckResponse:
        """Add the context's hash and the platform to the inputs; look for the Dockerfile."""
        # Below a component the type carries its parents.
        if request.type.rpartition("$")[2] != IMAGE_TYPE:
            raise PluginError(f"could not check {request.name!r}: the stand-in plugin knows only {IMAGE_TYPE}.")
        inputs = {key: value for key, value in request.new_inputs.items() if value.value is not None}
        known = plain_map(inputs)
        _require_loopback(known)
        if known.get("buildOnPreview", UNKNOWN) == UNKNOWN:
            inputs["buildOnPreview"] = wrap(False)
        build = known.get("build") or {}
        if isinstance(build, dict):
            inputs["build"] = _with(inputs.get("build"), await asyncio.to_thread(_implied, build))
        _require_qualified(known)
        return protocol.CheckResponse(inputs=inputs)

    async def diff(self, request: protocol.DiffRequest) -> protocol.DiffResponse:
        """Any changed input is an update, but for the registry's user name and password."""
        held = request.old_state.get(_INPUTS)
        old = plain(held) if held is not None else {}
        found = differences(old, plain_map(request.new_inputs))
        for path in _CREDENTIALS:
            found.pop(path, None)
        return protocol.DiffResponse(diffs=top_level(found), detailed_diff=found)

    async def create(self, request: protocol.CreateRequest) -> protocol.CreateResponse:
        """Build and push."""
        outputs = await self._make(request.urn, request.properties)
        return protocol.CreateResponse(str(plain(request.properties["imageName"])), outputs)

    async def update(self, request: protocol.UpdateRequest) -> Properties:
        """Build and push again."""
        return await self._make(request.urn, request.news)

    async def delete(self, request: protocol.DeleteRequest) -> None:
        """Leave the image where it is, here and in the registry."""

    async def _make(self, urn: str, properties: Properties) -> dict[str, PropertyValue]:
        inputs = plain_map(properties)
        loop = asyncio.get_running_loop()

        def say(line: str) -> None:
            asyncio.run_coroutine_threadsafe(self._log(urn, line, status=True), loop)

        outputs = await asyncio.to_thread(_build_and_push, self._host, inputs, say)
        state = {key: wrap(value) for key, value in outputs.items()}
        return {**state, _INPUTS: PropertyValue(dict(properties), is_secret=True)}


def main(argv: list[str]) -> None:
    """Serve the plugin to the engine whose address is the first argument."""
    serve(argv, DOCKER_PLUGIN, DockerProvider)


def _build_and_push(host: str | None, inputs: Mapping[str, Any], say: daemon.Say) -> dict[str, Any]:
    build = inputs.get("build") or {}
    context = _context(build)
    client = daemon.connect(host)
    try:
        daemon.build(client, inputs, context, say)
        outputs = {
            "baseImageName": inputs["imageName"],
            "context": build.get("context") or ".",
            "dockerfile": context.dockerfile_name,
            "imageName": inputs["imageName"],
            "platform": build.get("platform"),
            "registryServer": (inputs.get("registry") or {}).get("server") or "",
        }
        if inputs.get("skipPush"):
            return {**outputs, "repoDigest": client.images.get(inputs["imageName"]).id}
        return {**outputs, "repoDigest": daemon.push(client, inputs, say)}
    finally:
        client.close()


def _context(build: Mapping[str, Any]) -> Context:
    return Context(build.get("context") or ".", build.get("dockerfile"))


def _with(build: PropertyValue | None, added: Mapping[str, str]) -> PropertyValue:
    inner = build.value if build is not None and isinstance(build.value, Mapping) else {}
    merged = {**inner, **{key: wrap(value) for key, value in added.items()}}
    return PropertyValue(merged, is_secret=build is not None and build.is_secret)


def _implied(build: Mapping[str, Any]) -> dict[str, str]:
    """What the real plugin adds to a build's inputs; paths and hash only where all of that is known by now."""
    added = {"platform": build.get("platform") or f"linux/{_architecture()}"}
    if UNKNOWN in (build.get("context"), build.get("dockerfile")):
        return added
    folder = build.get("context") or "."
    dockerfile = build.get("dockerfile") or posixpath.normpath(posixpath.join(folder, "Dockerfile"))
    context = Context(folder, dockerfile)
    return {**added, "context": folder, "dockerfile": dockerfile, "contextDigest": context.digest()}


def _require_loopback(inputs: Mapping[str, Any]) -> None:
    """An image for a registry elsewhere, named as its registry or by its own name, is one of a real stack."""
    server = _server(inputs)
    if not server and not inputs.get("skipPush"):
        server = _registry_in(str(inputs.get("imageName", "")))
    if server != UNKNOWN:
        require_loopback_registry(server)


def _require_qualified(inputs: Mapping[str, Any]) -> None:
    """An image that is pushed must name its registry, as `registry.example/app:tag` does, where no other input does."""
    name = str(inputs.get("imageName", UNKNOWN))
    if not inputs.get("skipPush") and not _server(inputs) and name != UNKNOWN and not _registry_in(name):
        raise PluginError(
            "error: repository name must be canonical. This provider requires all image names to be fully qualified.\n"
            "For example, if you are attempting to push to Dockerhub, prefix your image name with `docker.io`:\n\n"
            "`docker.io/repository/image:tag`"
        )


def _server(inputs: Mapping[str, Any]) -> str:
    registry = inputs.get("registry")
    return str(registry.get("server") or "") if isinstance(registry, dict) else ""


def _registry_in(name: str) -> str:
    first, slash, _ = name.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else ""


def _architecture() -> str:
    return _ARCHITECTURES.get(platform.machine(), platform.machine())
