"""The policy pack under the real engine, on the real program."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pulumi import automation

import toolchain
from tests.support.engine import ROOT, Engine
from tests.support.stub_world import stack_config, stub_world

pytestmark = pytest.mark.engine
PACK = str(ROOT / "toolchain" / "policy-pack")

LEAKY = """\
import pulumi
from pulumi_command import local

local.Command(
    "leaky",
    create="true",
    environment={"PREFECT_FLY_VERIFY_KEY": "verify:pf_canary"},
    logging=local.Logging.STDERR,
    add_previous_output_in_env=False,
)
local.Command(
    "tight",
    create="true",
    environment={"PREFECT_FLY_VERIFY_KEY": pulumi.Output.secret("verify:pf_canary")},
    logging=local.Logging.STDERR,
    add_previous_output_in_env=False,
)
local.Command("loud", create="true", opts=pulumi.ResourceOptions(protect=True))
"""


@pytest.fixture
def leaky(tmp_path: Path) -> automation.Stack:
    """A stack whose program breaks three rules."""
    (tmp_path / "backend").mkdir()
    (tmp_path / "__main__.py").write_text(LEAKY, encoding="utf-8")
    (tmp_path / "Pulumi.yaml").write_text(yaml.safe_dump({"name": "leaky", "runtime": "python"}), encoding="utf-8")
    cli = toolchain.ensure()
    variables = {
        **toolchain.pulumi_env(),
        "PULUMI_BACKEND_URL": f"file://{tmp_path / 'backend'}",
        "PULUMI_CONFIG_PASSPHRASE": "correct horse",
    }
    options = automation.LocalWorkspaceOptions(
        env_vars=variables, pulumi_command=automation.PulumiCommand(root=str(cli.parent.parent))
    )
    return automation.create_or_select_stack("test", work_dir=str(tmp_path), opts=options)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with stub_world(tmp_path / "sandbox") as sandbox:
        made = Engine(tmp_path / "stack", sandbox.env())
        made.set(stack_config(sandbox))
        yield made


def test_the_program_passes_in_preview_and_up(engine: Engine) -> None:
    """Every rule runs over the real program, unknown values included, and none is broken."""
    engine.preview(policy_packs=[PACK])
    engine.up(policy_packs=[PACK])
    assert "prefect-fly" in engine.text()
    assert "mandatory" not in engine.text()
    assert engine.preview(policy_packs=[PACK], expect_no_changes=True) == {}


def test_a_program_that_breaks_rules_is_stopped(leaky: automation.Stack) -> None:
    """A credential in clear, a loud Command and protect are refused; a secret one is not, and no value is shown."""
    printed: list[str] = []
    with pytest.raises(automation.CommandError):
        leaky.preview(on_output=printed.append, policy_packs=[PACK])
    text = "\n".join(printed)
    broken = set(re.findall(r"\[mandatory\]\s+(?:prefect-fly/)?([\w-]+).*Command: (\w+)\)", text))
    assert broken == {
        ("secrets-are-secret", "leaky"),
        ("commands-are-quiet", "loud"),
        ("nothing-protected", "loud"),
    }, text
    assert "pf_canary" not in text
