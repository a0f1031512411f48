"""`python -m prefect_server <verb>`, one of VERBS; the exit codes are in exit_codes.py."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Mapping

from prefect_server import launch, migrate, relay, restoring
from prefect_server.exit_codes import ExitCode, VerbError
from prefect_server.settings import without_secrets

VERBS: dict[str, Callable[[Mapping[str, str]], int]] = {
    "serve": launch.serve,
    "services": launch.services,
    "migrate": migrate.migrate,
    "snapshots": restoring.list_snapshots,
    "restore-snapshot": restoring.restore_snapshot,
    "relay": relay.relay,
}


def main(argv: list[str]) -> int:
    """Run one verb; a failure's sentence is the last line, on stdout where machines read the log."""
    if len(argv) != 1 or argv[0] not in VERBS:
        sys.stderr.write(f"usage: prefect-server {' | '.join(VERBS)}\n")
        return ExitCode.BAD_SETTINGS
    verb = argv[0]
    launch.set_up_logging()
    try:
        return VERBS[verb](os.environ)
    except VerbError as error:
        return _end(verb, error.code, str(error))
    except Exception as error:  # noqa: BLE001 - whatever happened, the last line must be a sentence without secrets
        sys.stderr.write(without_secrets(traceback.format_exc(), os.environ))
        words = without_secrets(f"{type(error).__name__}: {error}", os.environ)
        return _end(verb, ExitCode.OTHER, f"could not go on: {words[:300]}")


def _end(verb: str, code: ExitCode, sentence: str) -> int:
    sys.stderr.flush()
    stream = sys.stderr if verb in {"serve", "services"} else sys.stdout
    stream.write(f"{verb}: {' '.join(sentence.split())}\n")
    stream.flush()
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
