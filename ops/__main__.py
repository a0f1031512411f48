"""`python -m ops <verb>`: run one verb. Its report is the last line of standard output, as JSON."""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import sys
from collections.abc import Sequence
from types import ModuleType

from clients.endpoints import World, WrongWorldError
from clients.errors import ApiError
from ops.errors import OpsError
from ops.runtime import cut_lines, runtime

VERBS = (
    "migrate",
    "verify-domain",
    "verify-server",
    "redeploy",
    "verify",
    "send-test-alert",
    "detach",
    "emergency-detach",
    "init",
    "login",
    "audit",
    "doctor",
    "status",
    "backup",
    "restore",
)


def module_of(verb: str) -> ModuleType:
    """Return a verb's module. Each `up` runs several verbs, and none of them loads the others."""
    return importlib.import_module(f"ops.{verb.replace('-', '_')}")


def build_parser(verbs: Sequence[str] = VERBS) -> argparse.ArgumentParser:
    """Return the parser of these verbs."""
    # Abbreviated flags would become part of what is written into users' state.
    parser = argparse.ArgumentParser(prog="python -m ops", description=sys.modules["ops"].__doc__, allow_abbrev=False)
    parsers = parser.add_subparsers(dest="verb", required=True, metavar="verb")
    for name in verbs:
        module = module_of(name)
        summary = (module.__doc__ or "").strip().partition("\n")[0].partition(": ")[2]
        verb = parsers.add_parser(name, help=summary, description=module.__doc__, allow_abbrev=False)
        module.add_arguments(verb)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb and return the exit code: 0 done, 1 failed with a sentence, 2 wrong flags, 130 interrupted."""
    argv = sys.argv[1:] if argv is None else argv
    args = build_parser(argv[:1] if argv and argv[0] in VERBS else VERBS).parse_args(argv)
    try:
        report = module_of(args.verb).run(args, runtime(World(args.endpoints or World.REAL)))
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
    try:
        sys.exit(main())
    finally:
        gc.freeze()  # or Python looks for garbage once more at the end, while an up waits for it (ADR 15)
