"""Builds and pushes one image through a Docker daemon's API."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import docker
from docker.errors import APIError, DockerException

from toolchain.standins.buildkit import lines_of
from toolchain.standins.context import Context
from toolchain.standins.server import PluginError

Say = Callable[[str], None]
_BUILDERS = {None: "2", "BuilderBuildKit": "2", "BuilderV1": "1"}
_TAIL = 20
_BUILD_TIMEOUT = 3600


def connect(host: str | None) -> docker.DockerClient:
    """A client of the daemon at that address, of DOCKER_HOST, or of the usual socket; asks it for a sign of life.

    Raises:
        PluginError: none answers.
    """
    address = host or os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    try:
        client = docker.DockerClient(base_url=address, version="auto", timeout=_BUILD_TIMEOUT)
        client.ping()
    except DockerException as error:
        raise PluginError(f"failed to connect to any docker daemon: {address} did not answer: {error}") from None
    return client


def build(client: docker.DockerClient, inputs: Mapping[str, Any], context: Context, say: Say) -> None:
    """Build and tag the image as the inputs say, through BuildKit unless they ask for the old builder.

    Raises:
        PluginError: the build failed; the text ends with the last lines it printed.
    """
    wanted = inputs.get("build") or {}
    body, dockerfile = context.archive()
    params = {
        "version": _builder(wanted.get("builderVersion")),
        "t": inputs["imageName"],
        "dockerfile": dockerfile,
        "buildargs": json.dumps(wanted.get("args") or {}),
        "cachefrom": json.dumps((wanted.get("cacheFrom") or {}).get("images") or []),
        "platform": wanted.get("platform"),
        "target": wanted.get("target"),
        "networkmode": wanted.get("network"),
        "extrahosts": ",".join(wanted.get("addHosts") or []) or None,
        "rm": "1",
        "forcerm": "1",
    }
    given = {key: value for key, value in params.items() if value is not None}
    api: Any = client.api  # the package has no public call that selects BuildKit
    headers = {"Content-Type": "application/x-tar"}
    try:
        reply = api._post(api._url("/build"), data=body, params=given, headers=headers, stream=True)  # noqa: SLF001
        api._raise_for_status(reply)  # noqa: SLF001
        _follow(_messages(reply), say, f"could not build image {inputs['imageName']!r}")
    except APIError as error:
        raise PluginError(f"could not build image {inputs['imageName']!r}: {error.explanation}") from None


def push(client: docker.DockerClient, inputs: Mapping[str, Any], say: Say) -> str:
    """Push the image and give `repository@sha256:…` as the registry named it.

    Raises:
        PluginError: the registry refused, or its answer holds no digest.
    """
    repository, tag = _split(inputs["imageName"])
    what = f"could not push image {inputs['imageName']!r}"
    auth = _auth(inputs.get("registry") or {}, say)
    try:
        stream = client.api.push(repository, tag, stream=True, decode=True, auth_config=auth)
        digest = _follow(stream, say, what)
    except APIError as error:
        raise PluginError(f"{what}: {error.explanation}") from None
    if digest is None:
        raise PluginError(f"{what}: the daemon did not name the digest the registry stored.")
    return f"{repository}@{digest}"


def _auth(registry: Mapping[str, Any], say: Say) -> dict[str, str] | None:
    user, password = registry.get("username"), registry.get("password")
    if user and password:
        return {"username": user, "password": password, "serveraddress": registry.get("server") or ""}
    if user or password:
        missing, present = ("password", "username") if user else ("username", "password")
        say(f"{missing} was not set, although {present} was; using host credentials file")
    return None


def _split(image: str) -> tuple[str, str]:
    repository, colon, tag = image.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (image, "latest")


def _builder(version: str | None) -> str:
    if version not in _BUILDERS:
        raise PluginError(f"invalid Docker Builder version {version!r}: use BuilderBuildKit or BuilderV1.")
    return _BUILDERS[version]


def _messages(reply: Any) -> Iterator[Mapping[str, Any]]:
    for line in reply.iter_lines():
        if line:
            yield json.loads(line)


def _follow(messages: Iterator[Mapping[str, Any]], say: Say, what: str) -> str | None:
    """Show a daemon's messages as they come; gives the digest, if one of them names it."""
    digest = None
    said: list[str] = []
    for message in messages:
        if "errorDetail" in message or "error" in message:
            detail = (message.get("errorDetail") or {}).get("message") or message["error"]
            raise PluginError("\n".join([f"{what}: {detail}", *said[-_TAIL:]]))
        aux = message.get("aux")
        if message.get("id") == "moby.buildkit.trace":
            lines = lines_of(base64.b64decode(str(aux)))
        else:
            digest = aux.get("Digest", digest) if isinstance(aux, dict) else digest
            lines = str(message.get("stream") or message.get("status") or "").splitlines()
        for line in filter(None, lines):
            if said[-1:] != [line]:  # a push says "Pushing" many times a second
                said.append(line)
                say(line)
    return digest
