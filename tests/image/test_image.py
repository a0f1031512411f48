"""The image itself: built from checkouts with different umasks, migrated, and served in 256 MB with 512 MB swap."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import docker
import pytest
import requests

from tests.image.conftest import KEYS
from tests.support.containers import MEGABYTE, TAG, container, made, output_of, require_docker, wait_until_ready
from tests.support.image_parts import image_parts
from tests.support.leaks import leaks
from tests.support.prefect_server import (
    SOURCE,
    Program,
    database_environment,
    hashed,
    result_of,
    run_client,
)
from toolchain.standins.context import Context
from toolchain.standins.daemon import build

pytestmark = [pytest.mark.containers, pytest.mark.prefect, pytest.mark.long]

CANARY = "c4n/ary p@ss"
IN_URL = f"https://user:{quote(CANARY, safe='')}@host.invalid/simple"
# What the shell of `pulumi up` holds, and what pip would read.
SECRETS = {
    **dict.fromkeys(("FLY_API_TOKEN", "FLY_REGISTRY_TOKEN", "GITHUB_TOKEN", "BETTERSTACK_API_TOKEN"), CANARY),
    **dict.fromkeys(("PULUMI_CONFIG_PASSPHRASE", "PREFECT_FLY_VERIFY_KEY"), CANARY),
    **dict.fromkeys(("DATABASE_URL", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "BASE_IMAGE_TOKEN"), IN_URL),
}


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.DockerClient]:
    with closing(docker.DockerClient(base_url=require_docker(), version="auto", timeout=600)) as client:
        yield client


@pytest.fixture(scope="module")
def image(engine: docker.DockerClient) -> str:
    return made(engine, SOURCE)


def contents(engine: docker.DockerClient, image: str) -> tuple[str, object]:
    """Every file with its mode, time, owner and hash, and the image's configuration.

    Not the two folders that are copied into: their time is the build's, which is why the image's id is no measure.
    """
    look = (
        "cd /opt/prefect-server && find . -mindepth 1 ! -path ./lib/python3.11/site-packages "
        "-printf '%p %m %T@ %U %G %l\\n' | sort && find . -type f -print0 | sort -z | xargs -0 sha256sum"
    )
    return output_of(engine, image, ["/bin/sh", "-c", look]), engine.images.get(image).attrs["Config"]


@pytest.fixture(scope="module")
def elsewhere(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image of a checkout whose files have other modes, with secrets beside them and in the build's environment."""
    checkout = tmp_path_factory.mktemp("checkout")
    context = checkout / "docker" / "prefect"
    shutil.copytree(SOURCE, context, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in (checkout, context, context / "prefect_server"):
        (folder / ".env").write_text(f"DATABASE_URL={IN_URL}\nFLY_API_TOKEN={CANARY}\n")
        (folder / ".netrc").write_text(f"machine host.invalid login user password {CANARY}\n")
    for folder in (checkout, context):
        (folder / "Pulumi.prod.yaml").write_text(f"config:\n  prefect-fly:databaseUrl: {IN_URL}\n")
        (folder / "pip.conf").write_text(f"[global]\nindex-url = {IN_URL}\n")
    for path in context.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    with pytest.MonkeyPatch.context() as shell:
        for name, value in SECRETS.items():
            shell.setenv(name, value)
        return made(engine, context)


def test_same_image_under_another_umask(engine: docker.DockerClient, image: str, elsewhere: str) -> None:
    """A checkout whose files have other modes gives the same files, with the same modes and times."""
    assert contents(engine, elsewhere) == contents(engine, image)


def canaries(engine: docker.DockerClient, image: str, folder: Path) -> tuple[set[str], set[str]]:
    """Where the canary stands in an image, and everywhere that was looked."""
    looked, found = set(), set()
    for where, text in image_parts(engine, image, folder):
        looked.add(where)
        if leaks(text, {"canary": CANARY}):
            found.add(where)
    return found, looked


def test_no_secret_is_in_a_layer_or_the_history(engine: docker.DockerClient, elsewhere: str, tmp_path: Path) -> None:
    """No file, name, configuration or history of the image holds what its build had around it or in its shell."""
    found, looked = canaries(engine, elsewhere, tmp_path)
    assert found == set()
    site = "opt/prefect-server/lib/python3.11/site-packages"
    assert looked >= {f"file {site}/prefect_server/__main__.py", f"name of {site}/prefect", "history", "inspect"}
    assert len([where for where in looked if where.startswith("file ")]) > 5000


def test_the_search_finds_a_secret_in_each_part_of_an_image(engine: docker.DockerClient, tmp_path: Path) -> None:
    """The control: in a file as it is, in base64, URL-encoded, in one that a later layer hides, a name, a variable."""
    context = tmp_path / "context"
    context.mkdir()
    spelled = {"clear": CANARY, "encoded": base64.b64encode(f"user:{CANARY}.".encode()).decode(), "url": IN_URL}
    for name, text in spelled.items():
        (context / name).write_text(text)
    named = context / quote(CANARY, safe="")
    named.touch()
    lines = [f"COPY {name} /{name}" for name in spelled]
    lines += ["ARG GIVEN", "COPY Dockerfile /clear", f"COPY {named.name} /named/", "ENV LEFT=${GIVEN}"]
    (context / "Dockerfile").write_text("\n".join(["FROM scratch", *lines]))
    image, given = f"{TAG}-planted", {"args": {"GIVEN": CANARY}, "platform": "linux/amd64"}
    build(engine, {"imageName": image, "build": given}, Context(str(context), None), lambda _line: None)
    found, _looked = canaries(engine, image, tmp_path)
    documents = {where for where in found if where.startswith("document ")}
    assert documents
    files = {f"file {name}" for name in spelled}
    assert found - documents == files | {f"name of named/{named.name}", "history", "inspect"}


def test_what_is_in_it(engine: docker.DockerClient, image: str) -> None:
    """A numeric user, an init first, labels, and nothing in the history that looks like a credential."""
    config = engine.images.get(image).attrs["Config"]
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"][:2] == ["/opt/prefect-server/bin/dumb-init", "--"]
    assert config["Cmd"] == ["serve"]
    assert config["Labels"]["org.opencontainers.image.version"] == "3.8.8"
    assert config["Labels"]["org.opencontainers.image.base.name"]
    assert not [each for each in config["Env"] if any(word in each for word in ("KEY", "PASSWORD", "_URL", "TOKEN"))]


def test_bill_of_materials(engine: docker.DockerClient, image: str) -> None:
    """The file that the label names lists exactly the packages of the lock."""
    file = engine.images.get(image).attrs["Config"]["Labels"]["prefect-fly.sbom"]
    python = ["/opt/prefect-server/bin/python", "-c", f"print(open({file!r}).read())"]
    said = output_of(engine, image, python)
    listed = {f"{each['name']}=={each['version']}" for each in json.loads(said)["components"]}
    lock = (SOURCE / "requirements.lock").read_text()
    assert listed == set(re.findall(r"^[a-z0-9][a-z0-9.-]*==[^ ;\\]+", lock, re.MULTILINE))


def test_nothing_is_in_it_twice(engine: docker.DockerClient, image: str) -> None:
    """The UI stands where it is served from and nowhere else, and no package brings its tests, pip or caches."""
    site = "/opt/prefect-server/lib/python3.11/site-packages"
    look = (
        f"find {site}/prefect/server/ui {site}/prefect/server/ui-v2 -mindepth 1; "
        "find /opt -type d \\( -name tests -o -name pip -o -name .cache \\)"
    )
    assert output_of(engine, image, ["/bin/sh", "-c", look]) == ""


def test_an_upgrade_of_our_own_code_pushes_little(engine: docker.DockerClient, image: str) -> None:
    """Our code is the last layer, alone in it; unpacked it is three times what is pushed, which is below a megabyte."""
    layers = [entry["Size"] for entry in engine.images.get(image).history() if entry["Size"]]
    ours, packages, *_base = layers
    assert 0 < ours < 3 * MEGABYTE
    assert packages > 50 * ours


def test_small_machine(engine: docker.DockerClient, image: str, fresh_database: str, tmp_path: Path) -> None:
    """Migrated in one container, served in another of 256 MB with 512 MB swap: fifty flow runs, the UI, a clean end."""
    program = Program(tmp_path, database_environment(fresh_database) | {"PREFECT_FLY_API_KEYS": hashed(KEYS)})
    environ = {
        **program.environ,
        "PREFECT_SERVER_API_HOST": "127.0.0.1",
        "PREFECT_SERVER_API_PORT": str(program.port),
        "PREFECT_FLY_METRICS_PORT": str(program.metrics_port),
    }
    with container(engine, image, "migrate", environ, memory=1024, swap=0) as migration:
        assert migration.wait(timeout=600)["StatusCode"] == 0, migration.logs().decode()
    with container(engine, image, "serve", environ, memory=256, swap=512) as serving:
        wait_until_ready(program, serving)
        key = KEYS["orchestrator"]
        client = program.client_environment(PREFECT_API_KEY=key, PREFECT_API_AUTH_STRING=f"orchestrator:{key}")
        load = Path(__file__).parent / "clients" / "load.py"
        assert result_of(run_client(load, client, "50", "10"))["completed"] == 50
        page = requests.get(f"{program.url}/v2/", timeout=600)
        assert page.status_code == 200
        assert "<script" in page.text
        processes = serving.top()["Processes"]
        assert all(row[0] in {"10001", "10001:10001"} for row in processes)
        assert "dumb-init" in processes[0][-1]
        serving.stop(timeout=600)
        serving.reload()
        state = serving.attrs["State"]
        assert not state["OOMKilled"]
        assert state["ExitCode"] == 143  # SIGTERM's, passed on by the init; 137 would be a kill
