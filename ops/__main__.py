"""`python -m ops <verb>`: run one verb. Its report is the last line of standard output, as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from types import ModuleType

from clients.endpoints import World, WrongWorldError
from clients.errors import ApiError
from ops import (
    audit,
    backup,
    detach,
    doctor,
    emergency_detach,
    init,
    login,
    migrate,
    redeploy,
    restore,
    send_test_alert,
    status,
    verify,
    verify_domain,
    verify_server,
)
from ops.errors import OpsError
from ops.runtime import cut_lines, runtime

VERBS: dict[str, ModuleType] = {
    "migrate": migrate,
    "verify-domain": verify_domain,
    "verify-server": verify_server,
    "redeploy": redeploy,
    "verify": verify,
    "send-test-alert": send_test_alert,
    "detach": detach,
    "emergency-detach": emergency_detach,
    "init": init,
    "login": login,
    "audit": audit,
    "doctor": doctor,
    "status": status,
    "backup": backup,
    "restore": restore,
}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all verbs."""
    # Abbreviated flags would become part of what is written into users' state.
    parser = argparse.ArgumentParser(prog="python -m ops", description=sys.modules["ops"].__doc__, allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="verb")
    for name, module in VERBS.items():
        summary = (module.__doc__ or "").strip().partition("\n")[0].partition(": ")[2]
        verb = verbs.add_parser(name, help=summary, description=module.__doc__, allow_abbrev=False)
        module.add_arguments(verb)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb and return the exit code: 0 done, 1 failed with a sentence, 2 wrong flags, 130 interrupted."""
    args = build_parser().parse_args(argv)
    try:
        report = VERBS[args.verb].run(args, runtime(World(args.endpoints or World.REAL)))
    except (OpsError, ApiError, WrongWorldError) as error:
        sys.stderr.write(f"{cut_lines(str(error))}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; run it again, it goes on from where it was\n")
        return 130
    if report is not None:  # a verb for people only has shown what it has to say
        sys.stdout.write(f"{json.dumps(report)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
