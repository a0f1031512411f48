"""No secret is anywhere it can be read: state, journal, engine output, command lines, logs of the emulated machines."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest

from sandbox import captionacc
from tests.engine.program.conftest import Deployment
from tests.support.engine import PASSPHRASE
from tests.support.waiting import until

pytestmark = pytest.mark.engine

PASSWORD = "c4n/ary p@ss"
LOOK_EVERY_SECONDS = 0.02
# The programs on machines, and what each of them needs.
PROGRAMS: dict[str, set[str]] = {
    "server.py": {"database password"},
    "orchestrator.py": {"orchestrator's key"},
}


def spellings(secret: str) -> set[str]:
    """The secret in clear, as in JSON, URL-encoded, and in base64 at each of its three alignments in a longer text."""
    raw = secret.encode()
    found = {secret, json.dumps(secret)[1:-1], quote(secret, safe="")}
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw).decode()
        # The first and last characters also depend on the neighbours.
        inner = encoded[4 if shift else 0 : len(encoded) - 4]
        found.add(inner)
    return found


def leaks(text: str, secrets: dict[str, str]) -> set[str]:
    """Names of the secrets that stand in `text` in any spelling, also where a line break or an indent parts them."""
    whole = unbroken(text)
    return {
        name
        for name, secret in secrets.items()
        if any(form in text or unbroken(form) in whole for form in spellings(secret))
    }


def unbroken(text: str) -> str:
    """The text without white space and without line breaks as JSON spells them."""
    return "".join(text.replace("\\r", "").replace("\\n", "").split())


@dataclass
class Seen:
    """What processes showed: every command line, and the variables of the programs on machines, by program."""

    lines: set[str] = field(default_factory=set)
    variables: dict[str, set[str]] = field(default_factory=lambda: {name: set() for name in PROGRAMS})

    def look(self, folder: Path) -> None:
        """Take what a process shows."""
        line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        self.lines.add(line)
        for name in PROGRAMS:
            if f"support/programs/{name}" in line:
                self.variables[name].add((folder / "environ").read_text(errors="replace"))


@contextmanager
def processes() -> Iterator[Seen]:
    """Look at every process that lives while the block runs."""
    seen = Seen()
    done = threading.Event()

    def look() -> None:
        while not done.wait(LOOK_EVERY_SECONDS):
            for folder in Path("/proc").glob("[0-9]*"):
                with suppress(OSError):
                    seen.look(folder)

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
    """After up and destroy no secret stands in the state, its backups, the journal, the output or an argv.

    On the machines no program has a secret that it does not need.
    """
    deployment.configure()
    deployment.engine.set({"prefect-fly:databaseUrl": f"postgresql://prefect:{PASSWORD}@127.0.0.1:5432/postgres"})
    with processes() as seen:
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
    assert any("-m ops redeploy" in line for line in seen.lines)
    assert leaks("\n".join(seen.lines), secrets) == set()
    for program, needed in PROGRAMS.items():
        assert leaks("\n".join(seen.variables[program]), secrets) == needed, program


@pytest.mark.parametrize("before", ["", "a", "ab", "name:"])
def test_the_search_finds_a_planted_secret_in_every_spelling(before: str) -> None:
    """The control: in clear, URL-encoded, as in JSON, and inside base64 whatever stands before it."""
    secrets = {"planted": PASSWORD}
    encoded = base64.b64encode(f"{before}{PASSWORD}tail".encode()).decode()
    for text in (PASSWORD, quote(PASSWORD, safe=""), encoded):
        assert leaks(f"x{text}y", secrets) == {"planted"}
    assert leaks(json.dumps({"it": 'say "pä"'}), {"planted": 'y "pä"'}) == {"planted"}
    assert leaks("nothing of it here", secrets) == set()


@pytest.mark.parametrize("broken", ["\n", "\r\n", "\n    ", "\\n", "\\r\\n"])
def test_the_search_finds_a_secret_that_a_line_break_parts(broken: str) -> None:
    """The control: in clear and in base64, broken in the middle, also as a string in JSON."""
    for text in (PASSWORD, base64.b64encode(f"name:{PASSWORD}tail".encode()).decode()):
        middle = len(text) // 2
        assert leaks(f"{text[:middle]}{broken}{text[middle:]}", {"planted": PASSWORD}) == {"planted"}


def test_the_search_sees_variables_and_command_lines(tmp_path: Path) -> None:
    """The control: a program that is called like a machine's, with a secret in each of the two."""
    program = tmp_path / "support" / "programs" / "server.py"
    program.parent.mkdir(parents=True)
    program.write_text("import sys; sys.stdin.read()")
    argv = [sys.executable, str(program), "--canary-in-argv"]
    with (
        processes() as seen,
        subprocess.Popen(argv, stdin=subprocess.PIPE, env={"KEY": "canary-in-environ"}) as process,
    ):
        until(lambda: any("canary-in-environ" in text for text in seen.variables["server.py"]))
        process.communicate()
    assert any("--canary-in-argv" in line for line in seen.lines)
