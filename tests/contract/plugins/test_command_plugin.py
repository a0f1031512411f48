"""What this project relies on in the command plugin, held against whichever plugin the engine finds."""

from __future__ import annotations

import json
import re

import pytest

from tests.support.cli_stack import CliStack

pytestmark = [pytest.mark.engine]

COMMAND = "command:local:Command"
CANARY = "canary-5f2b9c"

ONE = """
    import pulumi
    from pulumi_command import local

    command = local.Command("one", **inputs)
    pulumi.export("stdout", command.stdout)
    pulumi.export("stderr", command.stderr)
"""

WITH_SECRET = f"""
    import pulumi
    from pulumi_command import local

    inputs["environment"] = {{"CANARY": pulumi.Output.secret("{CANARY}")}}
    opts = pulumi.ResourceOptions(additional_secret_outputs=marked)
    command = local.Command("one", **inputs, opts=opts)
    pulumi.export("stdout", command.stdout)
"""


def test_preview_runs_nothing(stack: CliStack) -> None:
    """A preview of a create, of an update and of a replacement starts no command."""
    stack.program(ONE, inputs={"create": "echo ran >> log", "triggers": [1]})
    stack.preview()
    assert stack.lines("log") == []
    stack.up()
    stack.program(ONE, inputs={"create": "echo ran again >> log", "triggers": [1]})
    stack.preview()
    stack.program(ONE, inputs={"create": "echo ran >> log", "triggers": [2]})
    stack.preview()
    assert stack.lines("log") == ["ran"]


def test_create_gives_output_and_then_nothing_is_left_to_do(stack: CliStack) -> None:
    """Both streams are outputs, one trailing newline less, and a second preview is empty."""
    stack.program(ONE, inputs={"create": "echo out; echo; echo err >&2"})
    stack.up()
    assert stack.outputs() == {"stdout": "out\n", "stderr": "err"}
    stack.preview("--expect-no-changes")


def test_refresh_changes_nothing(stack: CliStack) -> None:
    """A refresh keeps inputs and outputs and runs nothing."""
    stack.program(ONE, inputs={"create": "echo ran | tee -a log"})
    stack.up()
    stack.cli("refresh", "--yes", "--skip-preview", expect=0)
    assert stack.outputs()["stdout"] == "ran"
    stack.preview("--refresh", "--expect-no-changes")
    assert stack.lines("log") == ["ran"]


def test_triggers_replace_and_the_old_one_is_deleted_with_its_old_inputs(stack: CliStack) -> None:
    """A changed trigger creates anew first; then the old resource's own delete runs, with its own variables."""
    inputs = {"create": "echo create $WHO >> log", "update": "echo update >> log", "delete": "echo delete $WHO >> log"}
    stack.program(ONE, inputs={**inputs, "environment": {"WHO": "old"}, "triggers": ["a"]})
    stack.up()
    changed = {**inputs, "delete": "echo new-delete $WHO >> log", "environment": {"WHO": "new"}, "triggers": ["b"]}
    stack.program(ONE, inputs=changed)
    text = stack.up()
    assert stack.lines("log") == ["create old", "create new", "delete old"]
    assert re.search(r"1 replaced", text)
    stack.destroy()
    assert stack.lines("log")[3:] == ["new-delete new"]


def test_any_other_change_runs_update(stack: CliStack) -> None:
    """A changed environment, or only a changed delete text, runs `update` once and replaces nothing."""
    inputs = {"create": "echo create >> log", "update": "echo update $WHO >> log", "delete": "echo delete >> log"}
    stack.program(ONE, inputs={**inputs, "environment": {"WHO": "a"}})
    stack.up()
    stack.program(ONE, inputs={**inputs, "environment": {"WHO": "b"}})
    stack.up()
    stack.program(ONE, inputs={**inputs, "environment": {"WHO": "b"}, "delete": "echo other >> log"})
    stack.up()
    assert stack.lines("log") == ["create", "update b", "update b"]


def test_without_update_the_create_command_runs_again(stack: CliStack) -> None:
    """A change of any input runs `create` again where there is no `update`."""
    stack.program(ONE, inputs={"create": "echo create $WHO | tee -a log", "environment": {"WHO": "a"}})
    stack.up()
    stack.program(ONE, inputs={"create": "echo create $WHO | tee -a log", "environment": {"WHO": "b"}})
    stack.up()
    assert stack.lines("log") == ["create a", "create b"]
    assert stack.outputs()["stdout"] == "create b"


def test_a_delete_only_command_runs_nothing_but_its_delete(stack: CliStack) -> None:
    """A resource with only `delete` does nothing on create and on change, and runs the delete it was given last."""
    stack.program(ONE, inputs={"delete": "echo first >> log"})
    stack.up()
    stack.program(ONE, inputs={"delete": "echo second >> log", "environment": {"A": "1"}})
    stack.up()
    assert stack.lines("log") == []
    stack.destroy()
    assert stack.lines("log") == ["second"]


def test_delete_uses_what_the_state_holds(stack: CliStack) -> None:
    """A destroy takes command, folder, input and variables from the state; the program is not run."""
    (stack.folder / "sub").mkdir()
    inputs = {"delete": "cat > log; echo $WHO >> log", "dir": "sub", "stdin": "given\n", "environment": {"WHO": "me"}}
    stack.program(ONE, inputs=inputs)
    stack.up()
    stack.program("raise SystemExit('the program ran')")
    stack.destroy()
    assert stack.lines("sub/log") == ["given", "me"]


def test_a_failing_delete_keeps_the_resource_and_can_be_tried_again(stack: CliStack) -> None:
    """A delete that fails leaves the resource in the state; a second destroy runs it again and ends it."""
    stack.program(ONE, inputs={"delete": "echo tried >> log; test -f allowed"})
    stack.up()
    assert "exit status 1" in stack.destroy(expect=1)
    assert COMMAND in stack.types()
    (stack.folder / "allowed").touch()
    stack.destroy()
    assert stack.lines("log") == ["tried", "tried"]
    assert stack.types() == []


def test_the_previous_output_is_in_the_environment(stack: CliStack) -> None:
    """`update` and `delete` see the last run's output, `create` sees none."""
    show = 'echo "[$PULUMI_COMMAND_STDOUT|$PULUMI_COMMAND_STDERR]" >> log'
    inputs = {"create": f"{show}; echo out; echo err >&2", "update": f"{show}; echo second", "delete": show}
    stack.program(ONE, inputs=inputs)
    stack.up()
    stack.program(ONE, inputs={**inputs, "environment": {"A": "1"}})
    stack.up()
    stack.destroy()
    assert stack.lines("log") == ["[|]", "[out|err]", "[second|]"]


def test_the_previous_output_can_be_kept_out_of_the_environment(stack: CliStack) -> None:
    """With add_previous_output_in_env False neither update nor delete sees the last run's output."""
    show = 'echo "[$PULUMI_COMMAND_STDOUT|$PULUMI_COMMAND_STDERR]" >> log'
    inputs = {"create": "echo out; echo err >&2", "update": show, "delete": show, "add_previous_output_in_env": False}
    stack.program(ONE, inputs=inputs)
    stack.up()
    stack.program(ONE, inputs={**inputs, "environment": {"A": "1"}})
    stack.up()
    stack.destroy()
    assert stack.lines("log") == ["[|]", "[|]"]


def test_a_failure_shows_command_and_output_and_leaves_no_state(stack: CliStack) -> None:
    """Even without logging the error holds the command and what it printed; the next up starts over."""
    create = "echo attempt >> log; echo some-output; echo some-error >&2; test -f allowed"
    stack.program(ONE, inputs={"create": create, "logging": "none"})
    text = stack.up(expect=1)
    assert "exit status 1" in text
    assert "test -f allowed" in text
    assert "some-output" in text
    assert "some-error" in text
    assert COMMAND not in stack.types()
    (stack.folder / "allowed").touch()
    stack.up()
    assert stack.lines("log") == ["attempt", "attempt"]


def test_a_failing_update_keeps_the_old_inputs(stack: CliStack) -> None:
    """An update that fails leaves the old inputs in the state, so that the next up tries again."""
    inputs = {"create": "true", "update": "echo tried >> log; test -f allowed"}
    stack.program(ONE, inputs=inputs)
    stack.up()
    stack.program(ONE, inputs={**inputs, "environment": {"A": "1"}})
    stack.up(expect=1)
    assert "environment" not in stack.resource(COMMAND)["inputs"]
    (stack.folder / "allowed").touch()
    stack.up()
    assert stack.lines("log") == ["tried", "tried"]
    assert stack.resource(COMMAND)["inputs"]["environment"] == {"A": "1"}


def test_a_secret_input_does_not_make_the_outputs_secret(stack: CliStack) -> None:
    """The secret variable itself is encrypted, but what a command prints of it stands in plain state, unless marked."""
    inputs = {"create": "echo $CANARY; echo $CANARY >&2", "logging": "none"}
    stack.program(WITH_SECRET, inputs=inputs, marked=None)
    stack.up()
    state = stack.resource(COMMAND)
    assert CANARY not in json.dumps(state["inputs"])
    assert (state["outputs"]["stdout"], state["outputs"]["stderr"]) == (CANARY, CANARY)


def test_outputs_marked_secret_are_nowhere_in_plain(stack: CliStack) -> None:
    """Marked, both outputs hold the secret and leave it neither in the state nor on the screen."""
    inputs = {"create": "echo $CANARY; echo $CANARY >&2", "logging": "none"}
    stack.program(WITH_SECRET, inputs=inputs, marked=["stdout", "stderr"])
    text = stack.up()
    assert stack.outputs()["stdout"] == CANARY
    assert CANARY not in stack.state()
    assert CANARY not in text


def test_the_canary_is_found_where_it_is_not_secret(stack: CliStack) -> None:
    """The search that finds no secret does find one that was left plain."""
    stack.program(ONE, inputs={"create": "echo $CANARY", "environment": {"CANARY": CANARY}})
    text = stack.up()
    assert CANARY in stack.state()
    assert CANARY in text


@pytest.mark.parametrize(
    ("logging", "shown"),
    [
        (None, {"to-out", "to-err"}),
        ("stdoutAndStderr", {"to-out", "to-err"}),
        ("stdout", {"to-out"}),
        ("stderr", {"to-err"}),
        ("none", set()),
    ],
)
def test_logging_says_which_stream_is_shown(stack: CliStack, logging: str | None, shown: set[str]) -> None:
    """Each logging mode shows its streams while the command runs, and only these."""
    inputs = {"create": "cat words; cat more >&2"}
    (stack.folder / "words").write_text("to-out\n")
    (stack.folder / "more").write_text("to-err\n")
    stack.program(
        """
        from pulumi_command import local

        local.Command("one", **inputs)
        """,
        inputs=inputs if logging is None else {**inputs, "logging": logging},
    )
    text = stack.up()
    assert {word for word in ("to-out", "to-err") if word in text} == shown


def test_interpreter_folder_input_and_variables_reach_the_command(stack: CliStack) -> None:
    """The interpreter gets the text as its last argument, in the given folder, with the given input and variables."""
    (stack.folder / "sub").mkdir()
    code = "import os, sys; print(os.path.basename(os.getcwd()), sys.stdin.read(), os.environ['A b'])"
    inputs = {
        "create": code,
        "interpreter": ["python3", "-c"],
        "dir": "sub",
        "stdin": "in",
        "environment": {"A b": "v"},
    }
    stack.program(ONE, inputs=inputs)
    stack.up()
    assert stack.outputs()["stdout"] == "sub in v"


def test_commands_run_in_the_program_folder_with_the_engines_environment(stack: CliStack) -> None:
    """Without `dir` a command runs where the program is, and sees what the engine was started with."""
    stack.variables["FROM_OUTSIDE"] = "seen"
    stack.program(ONE, inputs={"create": "pwd; echo $FROM_OUTSIDE"})
    stack.up()
    assert stack.outputs()["stdout"] == f"{stack.folder}\nseen"


def test_independent_commands_run_at_the_same_time(stack: CliStack) -> None:
    """Two commands that wait for each other both end."""
    stack.program(
        """
        from pulumi_command import local

        wait = "touch {mine}; for i in $(seq 200); do test -f {other} && exit 0; sleep 0.05; done; exit 1"
        local.Command("a", create=wait.format(mine="a", other="b"))
        local.Command("b", create=wait.format(mine="b", other="a"))
        """
    )
    stack.up()
    assert stack.types().count(COMMAND) == 2


def test_output_without_a_last_newline_and_large_output_are_whole(stack: CliStack) -> None:
    """A last line without newline is kept, and so is output that fills a pipe many times."""
    stack.program(ONE, inputs={"create": "head -c 300000 /dev/zero | tr '\\0' x; printf end", "logging": "none"})
    stack.up()
    assert stack.outputs()["stdout"] == "x" * 300_000 + "end"
