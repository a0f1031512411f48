"""audit: for people, at any time: who changed what on the server, newest first.

It reads the lines that the server keeps with audit.keepDays, with an admin's login in PREFECT_FLY_VERIFY_KEY. What the
orchestrator does all day is left out unless it is asked for.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from clients.endpoints import World
from clients.names import ORCHESTRATOR, VERIFY_KEY
from clients.prefect import PrefectAnswerError, PrefectError, PrefectUnauthorizedError
from clients.redaction import redacted
from ops.errors import OpsError
from ops.reaching import prefect_client
from ops.runtime import Runtime
from ops.status_stack import StatedStack
from ops.verify_server import credential_from

_UNITS = {"h": "hours", "d": "days"}
_PAGE = 500


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags. The stack states its world, so there is no --endpoints."""
    parser.set_defaults(endpoints=World.REAL.value)
    parser.add_argument("stack", metavar="NAME", help="the stack's name")
    parser.add_argument("--since", metavar="WHEN", help="24h, 7d, 2027-01-31 or 2027-01-31T18:00:00Z (default 24h)")
    parser.add_argument("--login", action="append", metavar="LOGIN", help="only what this login did; may be repeated")
    parser.add_argument("--all", action="store_true", help=f"also what {ORCHESTRATOR} did")
    parser.add_argument("--limit", type=int, default=200, help="at most so many lines (200)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, oldest last")


def run(args: argparse.Namespace, rt: Runtime) -> None:
    """Print the lines.

    Raises:
        OpsError: the stack cannot be read, keeps no audit, or the server refuses the key.
    """
    since = _since(args.since or "24h", datetime.fromtimestamp(rt.clock(), UTC))
    stack = StatedStack.named(args.stack)
    if not stack.server_url:
        raise OpsError(f'could not read the audit of stack "{stack.name}": Prefect Cloud keeps its own. Look there.')
    rt = replace(rt, world=stack.world)
    without = [] if args.all or args.login else [ORCHESTRATOR]
    query = {"login": args.login or [], "without": without, "since": [since.isoformat().replace("+00:00", "Z")]}
    number = 0
    for line in _lines(stack, rt, query, args.limit):
        number += 1
        sys.stdout.write(f"{json.dumps(line) if args.json else _shown(line)}\n")
    if not args.json:
        left_out = f"; what {ORCHESTRATOR} did is left out, --all shows it" if without else ""
        sys.stderr.write(f"{number} changes since {since:%Y-%m-%d %H:%M} UTC{left_out}\n")


def _since(text: str, now: datetime) -> datetime:
    if text[:-1].isdigit() and text[-1:] in _UNITS and len(text) < 6:
        return now - timedelta(**{_UNITS[text[-1]]: int(text[:-1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as cause:
        raise OpsError(
            f'could not read --since "{text[:40]}": it is no time. Give 24h, 7d, 2027-01-31 or 2027-01-31T18:00:00Z.'
        ) from cause
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def _lines(stack: StatedStack, rt: Runtime, query: Mapping[str, list[str]], limit: int) -> Iterator[dict[str, Any]]:
    how = f'export {VERIFY_KEY}="$(pulumi stack output --show-secrets uiLogin --stack {stack.name})"'
    if not rt.environ.get(VERIFY_KEY):
        raise OpsError(f'could not read the audit: variable "{VERIFY_KEY}" is not set. {how}')
    credential, server = credential_from(rt), prefect_client(stack.server_url, stack.reach, stack.server_app, rt)
    before: int | None = None
    while limit > 0:
        ends = {"before": [str(before)]} if before else {}
        try:
            page = server.audit(credential, {**query, **ends, "limit": [str(min(limit, _PAGE))]})
        except PrefectUnauthorizedError as refused:
            raise OpsError(
                f'could not read the audit: the server refuses the key "{credential.name}". {how}'
            ) from refused
        except PrefectAnswerError as error:
            raise OpsError(f'could not read the audit of stack "{stack.name}": {redacted(error.said)}') from error
        except PrefectError as error:
            raise OpsError(f"could not read the audit: {error.said}. Read the server's log.") from error
        yield from page.lines
        limit -= len(page.lines)
        before = page.next
        if before is None:
            return


def _shown(line: Mapping[str, Any]) -> str:
    status = int(line["status"])
    outcome = {403: "refused", 0: "no answer"}.get(status, "done" if status < 400 else f"failed ({status})")
    when = str(line["at"])[:19].replace("T", " ")
    what = f"{line['method']} {line['route']}" + (f"  {line['object']}" if line["object"] else "")
    return redacted(f"{when}  {line['login']:<16}  {outcome:<12}  {what}  from {line['client']}")
