"""The server's image follows its app: an app made anew has an empty registry, so the image is pushed again.

The component with a real Docker engine and a real registry; the app with the emulated Fly. The context is a small one,
because what is in the image is not what is tested.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
import requests

from sandbox.fly import FlyOptions
from sandbox.testing import Sandbox, running_sandbox
from tests.support.cli_stack import CliStack
from tests.support.containers import require_docker
from tests.support.fly_world import ORG, OWNER, FastClock, delete_by_hand
from toolchain.registry import Registry, running_registry

pytestmark = [pytest.mark.engine, pytest.mark.containers, pytest.mark.long]

ROOT = Path(__file__).resolve().parents[3]
ACCEPT = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"
PROGRAM = """
import pulumi
from components.docker_image import DockerImage, DockerImageArgs
from providers.fly_app import App
from settings.groups import ImageSettings

app = App("shop", org=ORG, name="shop", owner=OWNER, endpoints="sandbox")
image = DockerImage("shop", DockerImageArgs(image=ImageSettings(registry=REGISTRY), app=app.name, app_id=app.app_id))
pulumi.export("reference", image.reference)
"""


@pytest.fixture
def host() -> str:
    return require_docker()


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with running_registry(tmp_path / "registry") as running:
        yield running


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    options = FlyOptions(org=ORG, exact_rate_limits=False)
    with running_sandbox(tmp_path / "sandbox", clock=FastClock(), fly=options, filled=False) as running:
        yield running


@pytest.fixture
def stack(tmp_path: Path, sandbox: Sandbox, host: str, registry: Registry) -> Iterator[CliStack]:
    made = CliStack(tmp_path / "stack", {**sandbox.env(), "PYTHONPATH": str(ROOT), "DOCKER_HOST": host})
    context = made.folder / "docker" / "prefect"
    context.mkdir(parents=True)
    (context / "Dockerfile").write_text("FROM scratch\nLABEL what=prefect-fly-test\nCOPY Dockerfile /file\n")
    made.program(PROGRAM, ORG=ORG, OWNER=OWNER, REGISTRY=registry.address)
    yield made
    engine = docker.DockerClient(base_url=host, version="auto")
    for found in engine.images.list(f"{registry.address}/shop"):
        engine.images.remove(str(found.id), force=True)
    engine.close()


def manifest(reference: str, method: str = "GET") -> int:
    """Ask the registry for an image by digest, or delete it; return the status."""
    address, _, rest = reference.partition("/")
    repository, _, digest = rest.partition("@")
    url = f"http://{address}/v2/{repository}/manifests/{digest}"
    return requests.request(method, url, headers={"Accept": ACCEPT}, timeout=600).status_code


def test_an_image_that_vanished_with_its_app_is_pushed_again(stack: CliStack, sandbox: Sandbox) -> None:
    """The app is deleted by hand, its registry with it; one `up --refresh` brings both back, under the same digest."""
    stack.up()
    reference = stack.outputs()["reference"]
    assert manifest(reference) == 200
    stack.preview("--refresh", "--expect-no-changes")

    delete_by_hand(sandbox, "shop")
    # Fly empties the registry with the app; the real registry here has to be told.
    assert manifest(reference, "DELETE") == 202
    assert manifest(reference) == 404
    stack.up("--refresh")
    assert "shop" in sandbox.fly.state.apps
    assert stack.outputs()["reference"] == reference
    assert manifest(reference) == 200
    stack.preview("--refresh", "--expect-no-changes")


def test_replacing_the_app_pushes_its_image_again(stack: CliStack, sandbox: Sandbox) -> None:
    """`up --replace` of the app empties its registry as well; the image's resource knows by the app's id."""
    stack.up()
    reference, before = stack.outputs()["reference"], sandbox.fly.state.apps["shop"].id
    assert manifest(reference, "DELETE") == 202
    stack.up()
    assert manifest(reference) == 404, "an up that changes nothing pushes nothing"
    (urn,) = [stack.resource("pulumi-python:dynamic/fly:App")["urn"]]
    stack.up("--replace", urn)
    assert sandbox.fly.state.apps["shop"].id != before
    assert manifest(reference) == 200
