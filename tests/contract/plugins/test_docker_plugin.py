"""What this project relies on in the docker plugin, held against whichever plugin the engine finds.

Images start from `scratch`, so that nothing is pulled; the registry is a real one that asks for a password.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import requests

from tests.support.cli_stack import CliStack
from tests.support.containers import require_docker
from toolchain.registry import Registry, running_registry

pytestmark = [pytest.mark.engine, pytest.mark.containers]

IMAGE = "docker:index/image:Image"
USER, PASSWORD = "x", "canary-password-7d1e"
DEAD = "unix:///nonexistent/docker.sock"

DOCKERFILE = """\
FROM scratch AS first
ARG WHO=nobody
LABEL who=$WHO stage=first
COPY file /file
FROM first AS last
LABEL stage=last
"""

PROGRAM = """
    import pulumi
    import pulumi_docker as docker

    image = docker.Image(
        "image",
        image_name=name,
        build=docker.DockerBuildArgs(**build),
        registry=docker.RegistryArgs(server=server, username=user, password=pulumi.Output.secret(password)),
        skip_push=skip_push,
        opts=pulumi.ResourceOptions(retain_on_delete=retain),
    )
    pulumi.export("digest", image.repo_digest)
"""


@pytest.fixture
def host() -> str:
    return require_docker()


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with running_registry(tmp_path / "registry", login=(USER, PASSWORD)) as running:
        yield running


@pytest.fixture
def engine(host: str) -> Iterator[docker.DockerClient]:
    client = docker.DockerClient(base_url=host, version="auto")
    yield client
    client.close()


@pytest.fixture
def image(stack: CliStack, host: str, registry: Registry, engine: docker.DockerClient) -> Iterator[str]:
    """A stack with a small context and the name of its image, which is removed from the engine afterwards."""
    stack.variables["DOCKER_HOST"] = host
    (stack.folder / "app").mkdir()
    write(stack, "Dockerfile", DOCKERFILE)
    write(stack, "file", "content")
    name = f"{registry.address}/contract:tag"
    yield name
    for found in engine.images.list(f"{registry.address}/contract"):
        engine.images.remove(str(found.id), force=True)


def write(stack: CliStack, name: str, text: str) -> None:
    (stack.folder / "app" / name).write_text(text)
    (stack.folder / "app" / name).chmod(0o644)


def program(stack: CliStack, name: str, **changes: Any) -> None:
    values: dict[str, Any] = {
        "name": name,
        "build": {"context": "app", "dockerfile": "app/Dockerfile", "platform": "linux/amd64"},
        "server": name.partition("/")[0],
        "user": USER,
        "password": PASSWORD,
        "skip_push": False,
        "retain": True,
    }
    values["build"] |= changes.pop("build", {})
    stack.program(PROGRAM, **{**values, **changes})


def manifest(name: str, digest: str) -> requests.Response:
    address, _, repository = name.partition("/")
    accept = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"
    url = f"http://{address}/v2/{repository.partition(':')[0]}/manifests/{digest}"
    return requests.get(url, auth=(USER, PASSWORD), headers={"Accept": accept}, timeout=600)


def configuration(name: str, digest: str) -> dict[str, Any]:
    """The configuration of the image that the registry holds under a digest or tag."""
    address, _, repository = name.partition("/")
    config = manifest(name, digest).json()["config"]["digest"]
    url = f"http://{address}/v2/{repository.partition(':')[0]}/blobs/{config}"
    found: dict[str, Any] = requests.get(url, auth=(USER, PASSWORD), timeout=600).json()
    return found


def labels(name: str, digest: str) -> Any:
    return configuration(name, digest)["config"]["Labels"]


def test_preview_builds_nothing(stack: CliStack, image: str, engine: docker.DockerClient) -> None:
    """A preview of a new image neither builds nor pushes."""
    program(stack, image)
    stack.preview()
    assert engine.images.list(image) == []
    assert manifest(image, "tag").status_code == 404


def test_up_pushes_and_names_the_digest_the_registry_stored(stack: CliStack, image: str) -> None:
    """`repo_digest` is repository@digest, found in the registry under digest and tag; then nothing is left to do."""
    program(stack, image)
    stack.up()
    repository, _, digest = stack.outputs()["digest"].partition("@")
    assert repository == image.removesuffix(":tag")
    assert manifest(image, digest).status_code == 200
    assert manifest(image, "tag").headers["Docker-Content-Digest"] == digest
    stack.preview("--expect-no-changes")
    stack.preview("--refresh", "--expect-no-changes")


def test_build_arguments_and_target_reach_the_build(stack: CliStack, image: str) -> None:
    """The chosen stage is pushed, with the arguments in it; changing them builds again."""
    program(stack, image, build={"args": {"WHO": "me"}, "target": "first"})
    stack.up()
    assert labels(image, "tag") == {"who": "me", "stage": "first"}
    program(stack, image, build={"args": {"WHO": "you"}})
    stack.up()
    assert labels(image, "tag") == {"who": "you", "stage": "last"}


def test_the_platform_reaches_the_build(stack: CliStack, image: str) -> None:
    """An image for another processor than this one's is one for that processor."""
    program(stack, image, build={"platform": "linux/arm64"})
    stack.up()
    assert configuration(image, "tag")["architecture"] == "arm64"


def test_the_old_builder_can_be_asked_for(stack: CliStack, image: str) -> None:
    """BuilderV1 gives the same image contents."""
    program(stack, image, build={"builder_version": "BuilderV1", "args": {"WHO": "v1"}})
    stack.up()
    assert labels(image, "tag") == {"who": "v1", "stage": "last"}


def test_a_dockerfile_outside_the_context(stack: CliStack, image: str) -> None:
    """The Dockerfile may lie beside the context."""
    (stack.folder / "Other").write_text("FROM scratch\nLABEL who=other\nCOPY file /file\n")
    program(stack, image, build={"dockerfile": "Other"})
    stack.up()
    assert labels(image, "tag") == {"who": "other"}


def test_times_and_ignored_files_are_no_difference(stack: CliStack, image: str) -> None:
    """Touched files and changes in ignored files leave a preview empty; a changed file does not."""
    write(stack, ".dockerignore", "*.log\n!kept.log\n")
    write(stack, "kept.log", "1")
    program(stack, image)
    stack.up()
    for name in ("file", "Dockerfile"):
        os.utime(stack.folder / "app" / name, (1, 1))
    write(stack, "noise.log", "noise")
    stack.preview("--expect-no-changes")
    write(stack, "kept.log", "2")
    assert stack.preview("--expect-no-changes", expect=7)
    before = stack.outputs()["digest"]
    write(stack, "file", "other content")
    stack.up()
    assert stack.outputs()["digest"] != before


def test_a_changed_mode_is_a_difference(stack: CliStack, image: str) -> None:
    """A file made executable is a changed context."""
    program(stack, image)
    stack.up()
    (stack.folder / "app" / "file").chmod(0o755)
    assert stack.preview("--expect-no-changes", expect=7)


def test_credentials_are_no_difference(stack: CliStack, image: str) -> None:
    """Another user or password, or none, asks for no rebuild."""
    program(stack, image)
    stack.up()
    program(stack, image, user="somebody", password="else")
    stack.preview("--expect-no-changes")
    program(stack, image, user="", password="")
    stack.preview("--expect-no-changes")


def test_the_password_is_nowhere_in_plain(stack: CliStack, image: str) -> None:
    """State and output hold neither the password nor its base64; the state does hold the image's name."""
    program(stack, image)
    text = stack.up() + stack.preview("--diff")
    assert "ciphertext" in stack.resource(IMAGE)["outputs"]["__inputs"]
    program(stack, image, password="wrong", build={"args": {"WHO": "x"}})
    text += stack.up(expect=1)
    for place in (stack.state(), text):
        assert PASSWORD not in place
        assert "Y2FuYXJ5" not in place
        assert "contract:tag" in place


def test_a_refused_push_fails_and_the_next_up_fixes_it(stack: CliStack, image: str) -> None:
    """A wrong password fails the update; with the right one the same up goes through."""
    program(stack, image, password="wrong")
    assert "unauthorized" in stack.up(expect=1)
    assert IMAGE not in stack.types()
    program(stack, image)
    stack.up()
    assert manifest(image, "tag").status_code == 200


def test_a_failed_build_says_what_the_build_said(stack: CliStack, image: str) -> None:
    """The error names the step that failed."""
    write(stack, "Dockerfile", "FROM scratch\nCOPY not-there /\n")
    program(stack, image)
    assert "not-there" in stack.up(expect=1)


def test_a_missing_dockerfile_is_found_in_the_preview(stack: CliStack, image: str) -> None:
    """A wrong path fails at once and the likely one is named."""
    program(stack, image, build={"dockerfile": "Dockerfile"})
    text = stack.preview(expect=1)
    assert "could not open dockerfile" in text
    assert "app/Dockerfile" in text


def test_an_unqualified_name_is_refused_where_no_registry_is_given(stack: CliStack, image: str) -> None:
    """A name without its registry fails before anything is built; with a registry beside it, any name passes."""
    registry, _, name = image.partition("/")
    program(stack, name, server="")
    assert "fully qualified" in stack.preview(expect=1)
    program(stack, name, server=registry)
    stack.preview()


def test_without_pushing_the_image_is_only_local(stack: CliStack, image: str, engine: docker.DockerClient) -> None:
    """skip_push builds and tags, and the registry gets nothing."""
    program(stack, image, skip_push=True)
    stack.up()
    assert len(engine.images.list(image)) == 1
    assert manifest(image, "tag").status_code == 404


def test_preview_and_up_need_the_daemon(stack: CliStack, image: str) -> None:
    """Without a daemon both fail with a sentence that says so."""
    program(stack, image)
    stack.up()
    stack.variables["DOCKER_HOST"] = DEAD
    for text in (stack.preview(expect=1), stack.up(expect=1)):
        assert "failed to connect to any docker daemon" in text


def test_destroy_removes_nothing_and_needs_no_daemon_when_retained(
    stack: CliStack, image: str, engine: docker.DockerClient
) -> None:
    """With retain_on_delete a destroy works without a daemon; the image stays there and in the registry."""
    program(stack, image)
    stack.up()
    stack.variables["DOCKER_HOST"] = DEAD
    stack.destroy()
    assert stack.types() == []
    assert len(engine.images.list(image)) == 1
    assert manifest(image, "tag").status_code == 200


def test_destroy_without_retain_needs_the_daemon(stack: CliStack, image: str) -> None:
    """Without retain_on_delete the plugin is asked, and it asks its daemon: the reason why the project sets it."""
    program(stack, image, retain=False)
    stack.up()
    stack.variables["DOCKER_HOST"] = DEAD
    assert "failed to connect to any docker daemon" in stack.destroy(expect=1)


def test_the_state_holds_the_context_digest(stack: CliStack, image: str) -> None:
    """The context's hash is an input in the state, to the letter the same with every plugin, so none builds anew."""
    program(stack, image)
    stack.up()
    inputs = stack.resource(IMAGE)["inputs"]
    assert inputs["build"]["contextDigest"] == "449dc5007705f1d9187e94e70cfc150c1c0b59d10c2501aae5ff6a8bf1f11d44"
