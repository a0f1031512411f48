"""No secret is anywhere it can be read: state, engine and policy output, previews, journal, logs, argv, the tree."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from sandbox import captionacc
from tests.engine.program.conftest import Deployment
from tests.support.beside import beside
from tests.support.ci_step import PACK, run_step
from tests.support.engine import PASSPHRASE, ROOT, STACK
from tests.support.leaks import Place, file, leaks
from tests.support.stub_world import stack_config
from tests.support.waiting import until

pytestmark = pytest.mark.engine

PASSWORD = "c4n/ary p@ss"
# Nobody listens there; the stand-in of the server sends nothing.
CHANNEL = "http://127.0.0.1:9/hooks/c4nary-of-the-channel"
LOOK_EVERY_SECONDS = 0.02
VERBOSITY = re.compile(r'"v":(\d+)\}')
# Lengths are those of real ones: what tests plant is shorter.
REAL_KEY = re.compile(
    r"pf_[\w-]{43}|gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{82}|pnu_[A-Za-z0-9]{36}|fm2_[\w/+=]{100}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/]{60}"
)
# The programs on machines, and what each of them needs.
PROGRAMS: dict[str, set[str]] = {
    "server.py": {"database password"},
    "orchestrator.py": {"orchestrator's key"},
}


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
def processes(seen: Seen | None = None) -> Iterator[Seen]:
    """Look at every process that lives while the block runs, and add to what was `seen` before."""
    seen = seen or Seen()

    def look(done: threading.Event) -> None:
        while not done.wait(LOOK_EVERY_SECONDS):
            for folder in Path("/proc").glob("[0-9]*"):
                with suppress(OSError):
                    seen.look(folder)

    with beside(look):
        yield seen


def changes(deployment: Deployment) -> dict[str, dict[str, Any]]:
    """What people do with a stack, each with the settings that change for it."""
    cloud, orchestrator = deployment.sandbox.cloud, stack_config(deployment.sandbox)["prefect-fly:orchestrator"]
    channels = {"ops": {"kind": "webhook", "hears": ["failed"]}}
    return {
        "up": {"databaseUrl": f"postgresql://prefect:{PASSWORD}@127.0.0.1:5432/postgres"},
        "new key": {"keys": {"current": 2, "accepted": [1, 2]}},
        "new image": {"image": {"reference": f"registry.fly.io/{captionacc.SERVER}@sha256:{'b' * 64}"}},
        "alert": {"alerts": {"channels": channels, "test": True}, "alertAddresses": json.dumps({"ops": CHANNEL})},
        "to cloud": {"mode": "cloud", "cloud": {"apiUrl": cloud.api_url}, "cloudApiKey": cloud.workspace.key},
        "back": {"mode": "self-hosted"},
        "detach": {"orchestrator": {**orchestrator, "connected": False}},
    }


def planted(deployment: Deployment) -> dict[str, str]:
    """The secrets that are given from outside, by name."""
    env = deployment.sandbox.env()
    tokens = {name: env[name] for name in ("FLY_API_TOKEN", "GITHUB_TOKEN", "BETTERSTACK_API_TOKEN")}
    return {**tokens, "passphrase": PASSPHRASE, "database password": PASSWORD, "channel's address": CHANNEL}


def generated(deployment: Deployment) -> dict[str, str]:
    """The keys that are there now, by name."""
    orchestrator = deployment.sandbox.fly.state.apps[captionacc.ORCHESTRATOR].secrets
    vault = deployment.sandbox.github.repositories["captionacc/captionacc"].vault.secrets
    login = deployment.engine.outputs().get("uiLogin")
    found = {"admin's key": login.rpartition(":")[2]} if login else {}
    if "PREFECT_API_KEY" in orchestrator:
        found["orchestrator's key"] = orchestrator["PREFECT_API_KEY"].value
    if "PREFECT_API_KEY" in vault:
        found["github's key"] = vault["PREFECT_API_KEY"].value
    return found


def places(deployment: Deployment, folder: Path) -> dict[str, Place]:
    """Where no secret may be, by name."""
    printed = deployment.engine.output
    found = {
        "engine output": Place(deployment.engine.text, printed.append),
        "journal": file(folder / "sandbox" / "journal.jsonl"),
    }
    for app in (captionacc.SERVER, captionacc.ORCHESTRATOR):
        logs = deployment.sandbox.fly.logs
        found[f"log of {app}"] = Place(partial(logs.text, app), partial(logs.add, app, "m", "ewr"))
    # The state, its backups and history; the stack file; a pull request's comment and the job's summary.
    files = [path for path in (folder / "stack").rglob("*") if path.is_file()]
    return found | {str(path.relative_to(folder)): file(path) for path in files}


def test_no_secret_can_be_read_anywhere(deployment: Deployment, tmp_path: Path) -> None:
    """After all that people do with a stack, and a pull request's preview, no secret can be read in any place.

    On the machines no program has a secret that it does not need. The control plants one in each place, and finds it.
    """
    secrets, seen = planted(deployment), Seen()
    for done, settings in changes(deployment).items():
        deployment.engine.set({f"prefect-fly:{name}": value for name, value in settings.items()})
        with processes(seen):
            deployment.engine.up()
        for name, key in generated(deployment).items():
            # Prefect Cloud's is the orchestrator's and GitHub's.
            if key not in secrets.values():
                secrets[f"{name}, {done}"] = key
        for name, place in places(deployment, tmp_path).items():
            assert leaks(place.read(), secrets) == set(), (done, name)
    deployment.engine.set({"prefect-fly:keys": {"current": 3, "accepted": [2, 3]}})
    with processes(seen):
        comment = ["preview", "--stack", STACK, "--text", "comment.md", "--policy-pack", PACK]
        deployment.engine.output.append(run_step(deployment.engine, *comment))
        deployment.engine.destroy()
    holders = Counter(name.partition(",")[0] for name in secrets.keys() - planted(deployment).keys())
    assert holders == {"orchestrator's key": 4, "github's key": 3, "admin's key": 3}
    everywhere = places(deployment, tmp_path)
    assert "What restarts" in everywhere["stack/comment.md"].read()
    assert "prefect-fly" in deployment.engine.text(), "the policy pack says that it ran"
    kept = {"Pulumi.sandbox.yaml", "sandbox.json", "sandbox.json.bak", "backups", "history", "comment.md", "summary.md"}
    assert kept <= {part for name in everywhere for part in Path(name).parts}
    for name, place in everywhere.items():
        assert leaks(place.read(), secrets) == set(), name
        place.plant(PASSWORD)
        assert leaks(place.read(), secrets) == {"database password"}, name
    assert any("-m ops redeploy" in line for line in seen.lines)
    assert leaks("\n".join(seen.lines), secrets) == set()
    for program, needed in PROGRAMS.items():
        found = leaks("\n".join(seen.variables[program]), secrets)
        assert {name.partition(",")[0] for name in found} == needed, program


def test_what_the_engine_says_of_secrets_when_it_is_asked_to_say_all(deployment: Deployment) -> None:
    """`-v=9 --logtostderr --logflow` shows generated keys, the database's URL and GitHub's token, by level of `-v`.

    That is Pulumi's own (docs/security.md). The other tokens and the passphrase are in none of it, and what is printed
    beside it stays clean.
    """
    deployment.engine.set({"prefect-fly:databaseUrl": f"postgresql://prefect:{PASSWORD}@127.0.0.1:5432/postgres"})
    said: list[str] = []
    deployment.engine.up(log_verbosity=9, log_to_std_err=True, log_flow=True, on_error=said.append)
    secrets = planted(deployment) | generated(deployment)
    levels: dict[int, list[str]] = {}
    for line in "\n".join(said).splitlines():
        level = VERBOSITY.search(line)
        levels.setdefault(int(level[1]) if level else 0, []).append(line)
    found = {level: leaks("\n".join(lines), secrets) for level, lines in levels.items()}
    assert {level: names for level, names in found.items() if names} == {
        5: {"GITHUB_TOKEN"},
        9: {"admin's key", "github's key", "orchestrator's key", "database password", "GITHUB_TOKEN"},
    }
    assert leaks(deployment.engine.text(), secrets) == set()


def in_tree(root: Path) -> dict[str, str]:
    """The text of every file that git knows of, or would take, by path."""
    argv = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(argv, cwd=root, check=True, capture_output=True, text=True).stdout.split("\0")
    return {name: (root / name).read_text(errors="replace") for name in names if (root / name).is_file()}


def keys_in(tree: dict[str, str]) -> set[str]:
    """Names of the files that hold what only a real key or token looks like."""
    return {name for name, text in tree.items() if REAL_KEY.search(text)}


def test_no_key_lies_in_the_tree(tmp_path: Path) -> None:
    """No file of the checkout holds a whole key, token or private key. The control finds one of each kind."""
    assert keys_in(in_tree(ROOT)) == set()
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    planted = [
        f"pf_{'x7Q' * 14}_",
        f"ghp_{'a1B' * 12}",
        f"github_pat_{'a1B' * 27}_",
        f"fm2_{'lJ7' * 40}",
        f"pnu_{'a1B' * 12}",
        f"-----BEGIN {'RSA '}PRIVATE KEY-----\n{'MIIE' * 20}",
    ]
    for number, text in enumerate(planted):
        (tmp_path / f"{number}.txt").write_text(f"key={text}\n")
    assert len(keys_in(in_tree(tmp_path))) == len(planted)


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
