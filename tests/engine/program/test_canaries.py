"""No secret is anywhere it can be read: state, journal, engine output, command lines, logs of the emulated machines."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import pytest

from sandbox import captionacc
from tests.engine.program.conftest import Deployment
from tests.support.engine import PASSPHRASE

pytestmark = pytest.mark.engine

PASSWORD = "c4n/ary p@ss"
LOOK_EVERY_SECONDS = 0.02


def spellings(secret: str) -> set[str]:
    """The secret in clear, URL-encoded, and in base64 at each of the three alignments it can have in a longer text."""
    raw = secret.encode()
    found = {secret, quote(secret, safe="")}
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw).decode()
        # The first and last characters also depend on the neighbours.
        inner = encoded[4 if shift else 0 : len(encoded) - 4]
        found.add(inner)
    return found


def leaks(text: str, secrets: dict[str, str]) -> set[str]:
    """Names of the secrets that stand in `text` in any spelling."""
    return {name for name, secret in secrets.items() if any(form in text for form in spellings(secret))}


@contextmanager
def command_lines() -> Iterator[set[str]]:
    """Collect the command line of every process that lives while the block runs."""
    seen: set[str] = set()
    done = threading.Event()

    def look() -> None:
        while not done.wait(LOOK_EVERY_SECONDS):
            for folder in Path("/proc").glob("[0-9]*"):
                with suppress(OSError):
                    seen.add((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        done.set()
        watcher.join()


def all_secrets(deployment: Deployment) -> dict[str, str]:
    """Every secret value of the deployment by name: planted, generated and the tokens."""
    env = deployment.sandbox.env()
    found = {name: env[name] for name in ("FLY_API_TOKEN", "GITHUB_TOKEN", "BETTERSTACK_API_TOKEN")}
    found |= {"passphrase": PASSPHRASE, "database password": PASSWORD}
    orchestrator = deployment.sandbox.fly.state.apps[captionacc.ORCHESTRATOR].secrets
    found["orchestrator's key"] = orchestrator["PREFECT_API_KEY"].value
    vault = deployment.sandbox.github.repositories["captionacc/captionacc"].vault.secrets
    found["github's key"] = vault["PREFECT_API_KEY"].value
    found["admin's key"] = deployment.engine.outputs()["uiLogin"].removeprefix("admin:")
    return found


def test_no_secret_can_be_read_anywhere(deployment: Deployment, tmp_path: Path) -> None:
    """After up and destroy no secret stands in the state, its backups, the journal, the output or an argv."""
    deployment.configure()
    deployment.engine.set({"prefect-fly:databaseUrl": f"postgresql://prefect:{PASSWORD}@127.0.0.1:5432/postgres"})
    with command_lines() as seen:
        deployment.engine.up()
        secrets = all_secrets(deployment)
        state = deployment.engine.state()
        deployment.engine.destroy()
    assert leaks(state, secrets) == set()
    backend = [path for path in (tmp_path / "stack").rglob("*") if path.is_file()]
    assert len(backend) > 3
    for path in backend:
        assert leaks(path.read_text(errors="replace"), secrets) == set(), path.name
    assert leaks((tmp_path / "sandbox" / "journal.jsonl").read_text(), secrets) == set()
    assert leaks(deployment.engine.text(), secrets) == set()
    for app in (captionacc.SERVER, captionacc.ORCHESTRATOR):
        assert leaks(deployment.sandbox.fly.logs.text(app), secrets) == set()
    assert any("-m ops redeploy" in line for line in seen)
    assert leaks("\n".join(seen), secrets) == set()


@pytest.mark.parametrize("before", ["", "a", "ab", "name:"])
def test_the_search_finds_a_planted_secret_in_every_spelling(before: str) -> None:
    """The control: in clear, URL-encoded, and inside base64 whatever stands before it."""
    secrets = {"planted": PASSWORD}
    assert leaks(f"x{PASSWORD}y", secrets) == {"planted"}
    assert leaks(f"x{quote(PASSWORD, safe='')}y", secrets) == {"planted"}
    assert leaks(base64.b64encode(f"{before}{PASSWORD}tail".encode()).decode(), secrets) == {"planted"}
    assert leaks("nothing of it here", secrets) == set()
