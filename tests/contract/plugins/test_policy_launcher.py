"""A policy pack runs through the executable launcher, which every CLI takes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.cli_stack import CliStack
from toolchain.places import SOURCES, VENV

pytestmark = [pytest.mark.engine]

PACK = """\
from pulumi_policy import EnforcementLevel, PolicyPack, ResourceValidationPolicy


def refuse(args, report):
    if args.resource_type == "command:local:Command" and args.props.get("create") == "forbidden":
        report("this command is forbidden")


PolicyPack(
    name="contract",
    enforcement_level=EnforcementLevel.MANDATORY,
    policies=[ResourceValidationPolicy(name="no-forbidden", description="No forbidden command.", validate=refuse)],
)
"""


@pytest.fixture
def launcher(tmp_path: Path) -> Path:
    """The launcher in a checkout of its own, whose policy/ holds one rule."""
    root = tmp_path / "checkout"
    (root / "policy").mkdir(parents=True)
    (root / "policy" / "__main__.py").write_text(PACK)
    (root / "policy" / "PulumiPolicy.yaml").write_text("runtime: python\n")
    (root / "toolchain").mkdir()
    (root / ".venv").symlink_to(VENV)
    return Path(shutil.copy(SOURCES / "policy-pack", root / "toolchain" / "policy-pack"))


def test_a_rule_is_enforced_in_the_preview(stack: CliStack, launcher: Path) -> None:
    """A resource that breaks a mandatory rule fails the preview with the rule's text; one that does not, passes."""
    text = "from pulumi_command import local\nlocal.Command('one', create=create)\n"
    stack.program(text, create="allowed")
    stack.preview("--policy-pack", str(launcher))
    stack.program(text, create="forbidden")
    assert "this command is forbidden" in stack.preview("--policy-pack", str(launcher), expect=1)


def test_the_pack_starts_when_the_engine_passes_its_logs_on(stack: CliStack, launcher: Path) -> None:
    """`--logflow` puts options before the engine's address; the rule is enforced all the same."""
    text = "from pulumi_command import local\nlocal.Command('one', create='forbidden')\n"
    stack.program(text)
    logs = ("-v=1", "--logtostderr", "--logflow")
    assert "this command is forbidden" in stack.preview("--policy-pack", str(launcher), *logs, expect=1)
