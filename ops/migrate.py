"""migrate: bring the database's schema to the image's, by a one-off machine of the server's app.

It runs before any server machine changes, so a migration that fails leaves the running server as it was.
"""

from __future__ import annotations

import argparse
from datetime import datetime

from clients.fly import FlyClient
from clients.fly.errors import FlyError, FlyTimedOutError
from clients.fly.operations.one_off import GROUP, OneOffRequest, OneOffResult, run_one_off
from clients.names import DATABASE_SECRET
from clients.redaction import redacted
from ops import arguments
from ops.errors import OpsError
from ops.machine_images import image_before
from ops.migrate_exit_codes import NEW_BESIDE_OTHERS, OK, meaning
from ops.runtime import Runtime

# The image's own words for what went wrong stand in a line that begins so.
_SENTENCE = "{}: "
_DOING = {
    "migrate": ("migrate database", "The running server was not touched."),
    "snapshots": ("list the copies in the database", "Nothing was changed."),
    "restore-snapshot": ("restore the database", "Nothing was changed."),
    "relay": ("start a relay to the database", "Nothing was changed."),
}
# A first migration needs about 250 MB; the machine lives for seconds and costs next to nothing.
_MEMORY_MB = 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    arguments.endpoints(parser)
    arguments.server_app(parser)
    parser.add_argument("--image", required=True, help="image by digest")
    parser.add_argument("--region", required=True, help="Fly region to run in")
    parser.add_argument("--env", action="append", default=[], type=_pair, metavar="KEY=VALUE", help="may be repeated")
    parser.add_argument("--min-secrets-version", type=_whole, default=0, metavar="N", help="secrets it has to see")
    parser.add_argument("--owner", required=True, help="mark of the stack, for the machine's metadata")
    arguments.timeout(parser, 300)


def run(args: argparse.Namespace, rt: Runtime) -> dict[str, object]:
    """Run the migration and wait for its end.

    Raises:
        OpsError: it failed; the text says why and shows the end of its log.
        FlyError: it could not be run.
    """
    fly = FlyClient.from_environment(rt.world, rt.environ, progress=rt.progress.say)
    request = OneOffRequest(
        app=args.server_app,
        name="migrate",
        image=args.image,
        region=args.region,
        cmd=["migrate"],
        owner=args.owner,
        # What a restore of the copy that it keeps has to bring back with it.
        env=dict(args.env) | {"PREFECT_FLY_IMAGE_BEFORE": image_before(fly, args.server_app, args.image)},
        min_secrets_version=args.min_secrets_version,
        memory_mb=_MEMORY_MB,
        timeout=args.timeout,
    )
    rt.progress.say(f"migrating the database with {args.image}")
    try:
        result = run_one_off(fly, request)
    except FlyTimedOutError as late:
        raise OpsError(redacted(f"{late}") + _staged(fly, args.server_app)) from late
    if result.exit_code == NEW_BESIDE_OTHERS:
        rt.progress.say(
            f"Note: {_said(result) or meaning(NEW_BESIDE_OTHERS).cause}. {meaning(NEW_BESIDE_OTHERS).advice}"
        )
    elif result.exit_code != OK:
        raise OpsError(failure(args.server_app, args.image, result) + _staged(fly, args.server_app))
    rt.progress.say("the database's schema fits the image")
    return {"migrated": args.image}


def failure(app: str, image: str, result: OneOffResult, verb: str = "migrate") -> str:
    """Return the sentence for a verb of the image that ended badly, and below it the end of its log."""
    lines, said = [redacted(line) for line in result.log_tail], _said(result, verb)
    known = meaning(result.exit_code)
    cause, advice = known.cause, known.advice
    if result.oom_killed:
        cause, advice = "it ran out of memory", "Report it: a migration should never need so much."
    elif not said and lines and result.exit_code == 1:
        cause = "it failed without a word of ours, as an image without our entry point does"
        advice = f"Read the log below, and check that {image} was built from docker/prefect."
    spoken = f"{cause}: {said}" if said else cause
    log = "".join(f"\n    {line}" for line in lines) or "\n    (no log lines could be read)"
    doing, untouched = _DOING[verb]
    return (
        f'could not {doing} of app "{app}": {spoken} (exit code {result.exit_code}). {advice} {untouched}'
        f"\nEnd of the log of {verb}:{log}"
    )


def _said(result: OneOffResult, verb: str = "migrate") -> str:
    """Return the image's own sentence, without its full stop; empty when it said none."""
    lines = [redacted(line) for line in result.log_tail]
    mark = _SENTENCE.format(verb)
    found = next((line.removeprefix(mark) for line in reversed(lines) if line.startswith(mark)), "")
    return found.rstrip(".")


def _staged(fly: FlyClient, app: str) -> str:
    """Say when the app's database URL is newer than a running machine: whatever updates it next brings the new one.

    Fly's secrets are app-wide and cannot be put back, since nobody can read the old value.
    """
    try:
        urls = [_unix(secret.updated_at) for secret in fly.secrets.list_now(app) if secret.name == DATABASE_SECRET]
        machines = [m for m in fly.machines.list(app) if m.metadata.get("fly_process_group") != GROUP]
    except FlyError:
        return ""
    older = [m.name for m in machines if not m.destroyed and _unix(m.updated_at) < max(urls, default=0.0)]
    if not older:
        return ""
    return (
        f"\nNote: the app's secret {DATABASE_SECRET} is newer than its machine(s) {', '.join(sorted(older))}: the "
        'database URL is already staged, and whatever updates such a machine next (also a restart by "fly secrets '
        'deploy") brings it to the database that just failed. Set databaseUrl right and run "pulumi up" first.'
    )


def _unix(timestamp: str) -> float:
    try:
        return datetime.fromisoformat(timestamp).timestamp() if timestamp else 0.0
    except ValueError:
        return 0.0


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form KEY=VALUE")
    return key, value


def _whole(text: str) -> int:
    # The engine's numbers are floats and may be spelled so.
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if number < 0 or not number.is_integer():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0")
    return int(number)
