"""How long a running call of `up` or `destroy` may take: docs/state.md says what the code does."""

from __future__ import annotations

import re
import shlex
import time
from functools import cache
from pathlib import Path

import pytest

from clients.fly import apps
from clients.fly.operations import leases, one_off, reaching, retiring, waiting
from clients.prefect_api import client as prefect_api
from clients.timing import Reminder
from clients.transport import RetryPolicy
from ops import detach, redeploy, runtime, workflow_redeploy
from ops.__main__ import build_parser
from settings.groups import TimeoutSettings
from tests.support.recording import Program, run_program
from tests.support.stack_config import flat_config

ROOT = Path(__file__).parents[2]
SECTION = (ROOT / "docs" / "state.md").read_text(encoding="utf-8").partition("### How long a running call may take")[2]
TABLE = {
    cells[0].strip(): [cell.strip() for cell in cells[1:]]
    for line in SECTION.splitlines()
    if line.startswith("| ") and len(cells := line.strip("|").split("|")) == 3
}
SECRETS = "`fly:Secrets`, `fly:IpAddress`, `fly:Certificate`, `betterstack:Monitor`"
OBJECTS = (
    "`prefect:Automation`, `prefect:ConcurrencyLimit`, `prefect:NotificationBlock`, `prefect:Object`, "
    "`prefect:Variable`, `prefect:WorkPool`"
)
LEASE = leases.TTL + 5
RETIRED = retiring.DRAIN + retiring.STOP_WITHIN + retiring.GONE_WITHIN


@cache
def program() -> Program:
    """The program with its default time-outs and every Command."""
    alerts = {"channels": {"ops": {"kind": "webhook", "hears": ["failed"]}}, "test": True}
    addresses = {"ops": "https://example.com/hook"}
    domain = {"domain": "prefect.example.com", "useDomain": True}
    return run_program(flat_config(fly=domain, alerts=alerts, alertAddresses=addresses))


def stated(verb: str) -> float:
    """The `--timeout` that the program gives a verb."""
    texts = [str(each.inputs.get("create") or each.inputs["delete"]) for each in program().of("command:local:Command")]
    parsed = [build_parser().parse_args(shlex.split(text)[4:]) for text in texts]
    (found,) = {args.timeout for args in parsed if args.verb == verb}
    return float(found)


def request(policy: RetryPolicy) -> float:
    return policy.attempts * (policy.connect_timeout + policy.read_timeout) + policy.budget


def sentence(setting: str, more: float, *, times: int = 1) -> str:
    """How the table writes a multiple of a setting and some seconds more."""
    total = times * getattr(TimeoutSettings(), setting) + more
    factor = f"{times} * " if times > 1 else ""
    return f"{factor}`timeouts.{setting}`{f' + {more:.0f} s' if more else ''} = {total:.0f} s"


def longest() -> dict[str, str]:
    """The second column of the table by the first, from the code's own numbers."""
    started = stated("migrate") - TimeoutSettings().migrate
    around = retiring.GONE_WITHIN + 2 * one_off._STARTABLE_WITHIN + one_off._EVENT_WITHIN + one_off._LOG_WITHIN
    appears, settles = workflow_redeploy._APPEAR_SECONDS, detach._SETTLE_SECONDS
    per_machine = sentence("redeploy", LEASE, times=2)
    tidied = sentence("healthy", LEASE + RETIRED)
    beside = sentence("healthy", retiring.STOP_WITHIN + LEASE + reaching.REACHED_WITHIN + RETIRED, times=2)
    return {
        "`migrate`": sentence("migrate", started + around + retiring.GONE_WITHIN),
        "`verify-server`": sentence("healthy", 0),
        "`verify-domain`": sentence("domain", 0),
        "`redeploy` by the workflow": sentence("redeploy", appears + redeploy._ARRIVES_SECONDS),
        "`redeploy` by machines": f"for each of the orchestrator's machines {per_machine}",
        "`verify`": sentence("healthy", 0),
        "`send-test-alert`": f"{stated('send-test-alert'):.0f} s",
        "`detach` (a destroy's)": sentence("redeploy", 2 * (appears + settles), times=2),
        "`fly:App`, made": f"{apps.READY_WITHIN:.0f} s",
        "`fly:App`, deleted": f"{apps.GONE_WITHIN:.0f} s, and {retiring.GONE_WITHIN:.0f} s for each machine left in it",
        "`fly:Machine`, made": sentence("healthy", reaching.REACHED_WITHIN + RETIRED),
        "`fly:Machine`, updated with `vm.strategy: bluegreen`": f"{beside}; {tidied} more to tidy up after an "
        "interrupted one",
        "`fly:Machine`, updated with `rolling`": sentence(
            "healthy", LEASE + retiring.DRAIN + 3 * retiring.STOP_WITHIN, times=3
        ),
        "`fly:Machine`, deleted": f"{RETIRED:.0f} s, twice where an interrupted update left two; {LEASE} s "
        "more where a killed one left its lease",
        "`prefect:PublishedKeys`": sentence("healthy", 0),
        SECRETS: f"single requests: {request(RetryPolicy()):.0f} s each",
        OBJECTS: f"single requests: {request(prefect_api._POLICY):.0f} s each",
        "`credentials:ApiKey`, `credentials:KeyRing`": "no request",
        "GitHub's secrets, by GitHub's own provider": "**no limit**",
        "the image, by the docker provider": "**no limit**",
    }


def test_the_table_has_the_numbers_of_the_code() -> None:
    """Each row's limit is the sum of the constants and settings that bound it; another number fails here."""
    written = {row: cells[0] for row, cells in TABLE.items() if row != "running"}
    assert written == longest()
    policy = RetryPolicy()
    one = (
        f"{request(policy):.0f} s, when each of its {policy.attempts} attempts waits {policy.connect_timeout:.0f} s "
        f"for a connection and {policy.read_timeout:.0f} s for an answer, and all pauses together {policy.budget:.0f} s"
    )
    assert one in " ".join(SECTION.split())


@pytest.mark.parametrize(
    ("verb", "setting"),
    [
        ("verify-server", "healthy"),
        ("verify-domain", "domain"),
        ("redeploy", "redeploy"),
        ("verify", "healthy"),
        ("detach", "redeploy"),
    ],
)
def test_the_program_gives_each_verb_the_limit_of_its_setting(verb: str, setting: str) -> None:
    """What the table calls a setting is what the Command's text says; machines and keys get theirs as an input."""
    assert stated(verb) == getattr(TimeoutSettings(), setting)
    (machine,) = program().of("pulumi-python:dynamic/fly:Machine")
    (keys,) = program().of("pulumi-python:dynamic/prefect:PublishedKeys")
    assert machine.inputs["healthy_timeout"] == keys.inputs["timeout"] == TimeoutSettings().healthy


def test_nothing_that_runs_is_missing_from_the_table() -> None:
    """Every verb that a Command runs, and every kind of dynamic resource, has a row."""
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "components").glob("*.py")]
    verbs = {verb for text in sources for verb in re.findall(r'verb="([a-z-]+)"', text)}
    classes = [path.read_text(encoding="utf-8") for path in (ROOT / "providers").glob("*.py")]
    kinds = {":".join(kind) for text in classes for kind in re.findall(r'module="(\w+)", name="(\w+)"\):', text)}
    named = {name for row in TABLE for name in re.findall(r"`([^`]+)`", row)}
    assert len(verbs) > 5
    assert len(kinds) > 10
    assert named >= verbs | kinds


@pytest.mark.parametrize("row", [row for row, cells in TABLE.items() if "`" in cells[1]])
def test_what_the_table_says_is_printed_is_in_the_code(row: str) -> None:
    """Each quoted piece of a progress line stands in the source; `…` is what differs."""
    folders = ("clients", "ops", "providers")
    code = "".join(path.read_text(encoding="utf-8") for folder in folders for path in (ROOT / folder).rglob("*.py"))
    for quoted in re.findall(r"`([^`]+)`", TABLE[row][1]):
        if quoted not in {"redeploy", "fly:Machine"}:
            assert re.search(".*".join(map(re.escape, quoted.split("…"))), code), quoted


def test_lines_come_every_ten_seconds() -> None:
    """The pause between two lines of a verb that waits, of a machine and of what waits for a state."""
    assert runtime._QUIET_SECONDS == waiting.SLICE == Reminder(time.monotonic).every == 10
