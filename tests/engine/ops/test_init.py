"""`init` as a person uses it, and the first `up` of what it made."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

import toolchain
from ops import __main__ as ops
from sandbox import captionacc
from sandbox.images import process_image_reference
from sandbox.testing import Sandbox
from tests.support.engine import PASSPHRASE, ROOT, STACK, Engine
from tests.support.inline import environment
from tests.support.stub_world import stub_world
from tests.support.waiting import until

pytestmark = pytest.mark.engine

PASSWORD = "canary-of-init-77aa"
DATABASE = f"postgresql://prefect:{PASSWORD}@127.0.0.1:5432/postgres"


@dataclass(frozen=True)
class Desk:
    """A folder with the project's file, in a shell where `pulumi` and the sandbox can be reached."""

    folder: Path
    sandbox: Sandbox

    @property
    def file(self) -> Path:
        """Where the stack's settings go."""
        return self.folder / f"Pulumi.{STACK}.yaml"

    @property
    def argv(self) -> list[str]:
        """The command without its flags."""
        return [sys.executable, "-m", "ops", "init", STACK, "--endpoints", "sandbox"]

    @property
    def environment(self) -> dict[str, str]:
        """Tokens, addresses, backend and passphrase."""
        return {
            **os.environ,
            **toolchain.pulumi_env(),
            **self.sandbox.env(),
            "PYTHONPATH": str(ROOT),
            "PULUMI_BACKEND_URL": f"file://{self.folder / 'backend'}",
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
        }

    @property
    def flags(self) -> list[str]:
        """Every answer but those with a default, and the database's."""
        return [
            *("--orchestrator-app", captionacc.ORCHESTRATOR, "--server-app", captionacc.SERVER),
            *("--health-url", f"{self.sandbox.edge_url(captionacc.ORCHESTRATOR)}/health"),
            *("--url-template", self.sandbox.edge_url(captionacc.SERVER), "--repository", "captionacc/captionacc"),
            *("--image", process_image_reference("registry.fly.io", captionacc.SERVER)),
        ]

    def run(self, *flags: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run it without a terminal, here, so that coverage sees it."""
        written, said = io.StringIO(), io.StringIO()
        with (
            contextlib.chdir(self.folder),
            environment(self.environment | variables),
            contextlib.redirect_stdout(written),
            contextlib.redirect_stderr(said),
        ):
            code = ops.main([*self.argv[3:], *flags])
        return subprocess.CompletedProcess(self.argv, code, written.getvalue(), said.getvalue())

    def typed(self, *answers: str) -> tuple[int, str]:
        """Run it in a terminal, answer one prompt after the other, and return its exit code and all that was shown."""
        terminal, theirs = pty.openpty()
        shown = ""
        with subprocess.Popen(
            [*self.argv, *self.flags[-6:]],
            cwd=self.folder,
            env=self.environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        ) as process:
            os.close(theirs)
            waiting = list(answers)
            while True:
                try:
                    shown += os.read(terminal, 65_536).decode(errors="replace")
                except OSError:  # how Linux says that nobody holds the other end any more
                    break
                if waiting and shown.endswith(": "):
                    os.write(terminal, f"{waiting.pop(0)}\n".encode())
                    shown += "\n"
        os.close(terminal)
        return process.returncode, shown


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    folder = tmp_path / "stack"
    (folder / "backend").mkdir(parents=True)
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8")) | {"main": str(ROOT)}
    (folder / "Pulumi.yaml").write_text(yaml.safe_dump(project), encoding="utf-8")
    with stub_world(tmp_path / "sandbox") as sandbox:
        until(lambda: (sandbox.status()["orchestrator"]["health"] or {}).get("components"))  # doctor asks it
        yield Desk(folder, sandbox)


def test_from_nothing_to_a_first_up(desk: Desk) -> None:
    """Flags alone make a stack that doctor likes, that `up` deploys and `destroy` rolls back."""
    made = desk.run(*desk.flags, DATABASE_URL=DATABASE)
    assert made.returncode == 0, made.stdout + made.stderr
    assert "problem" not in made.stdout.partition("{")[0]
    text = desk.file.read_text()
    assert text.startswith("# yaml-language-server: $schema=docs/settings.schema.json\n")
    assert PASSWORD not in text + made.stdout + made.stderr
    engine = Engine(desk.folder, desk.sandbox.env())
    engine.up()
    assert desk.sandbox.status()["orchestrator"]["health"]["components"]["prefect"] == "healthy"
    assert engine.preview(expect_no_changes=True) == {}
    engine.destroy()


def test_in_a_terminal(desk: Desk) -> None:
    """Wrong answers are asked again, defaults are taken with Enter, and the database's address is not shown."""
    health = f"{desk.sandbox.edge_url(captionacc.ORCHESTRATOR)}/health"
    code, shown = desk.typed(
        *(
            "no-such-app",
            "1",
            health,
            "Not A Name",
            captionacc.SERVER,
            "",
            "",
            "",
            "maybe",
            "",
            "prefect",
            "",
        ),
        *("postgresql://prefect:pw@127.0.0.1:6543/postgres", DATABASE),
    )
    assert code == 0, shown
    assert 'there is no "no-such-app" that the token sees' in shown
    assert "give a name of small letters" in shown
    assert "6543" in shown
    assert PASSWORD not in shown
    config = yaml.safe_load(desk.file.read_text())["config"]
    assert config["prefect-fly:orchestrator"] == {"app": captionacc.ORCHESTRATOR, "healthUrl": health}
    assert not {"domain", "private"} & config["prefect-fly:fly"].keys()
    assert config["prefect-fly:github"]["workflowInputs"] == {"nonce": "{nonce}"}
    assert set(config["prefect-fly:databaseUrl"]) == {"secure"}


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"DATABASE_URL": ""}, "could not read DATABASE_URL: it is not set"),
        ({"DATABASE_URL": DATABASE, "PULUMI_BACKEND_URL": "file:///dev/null/none"}, "could not make stack"),
    ],
)
def test_what_fails_leaves_nothing(desk: Desk, variables: dict[str, str], said: str) -> None:
    """One sentence with the next step; neither a file nor a stack stays behind, and the same command works later."""
    failed = desk.run(*desk.flags, **variables)
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1].startswith(said)
    assert not desk.file.exists()
    assert desk.run(*desk.flags, DATABASE_URL=DATABASE).returncode == 0
    again = desk.run(*desk.flags, DATABASE_URL=DATABASE)
    assert again.stderr.startswith(f"could not make a new stack: Pulumi.{STACK}.yaml exists.")
