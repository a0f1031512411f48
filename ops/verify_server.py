"""verify-server: prove that the new server is up, sees its database, is closed, takes our keys and shows its UI."""

from __future__ import annotations

import argparse

from clients.fly import FlyClient
from clients.fly.model import Machine
from clients.fly.operations.unknown_machines import serves
from clients.names import VERIFY_KEY
from clients.prefect import (
    Credential,
    PrefectClient,
    PrefectError,
    PrefectUnauthorizedError,
    PrefectUnreachableError,
)
from clients.prefect_answers import ServerKeys
from ops import arguments
from ops.errors import OpsError
from ops.reaching import add_reach, prefect_client
from ops.runtime import Runtime


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    arguments.endpoints(parser)
    arguments.server_url(parser)
    arguments.server_app(parser)
    parser.add_argument("--accepted-keys", default="", help="names of the keys that each machine has to accept")
    parser.add_argument(
        "--keys-generation",
        type=int,
        default=0,
        metavar="N",
        help="generation of the keys that each machine has to use",
    )
    arguments.timeout(parser, 180)
    add_reach(parser)


def run(args: argparse.Namespace, rt: Runtime) -> dict[str, object]:
    """Check again and again until all is right, or the time is over.

    Raises:
        OpsError: it does not hold in time, or the server is open to anybody.
    """
    server = prefect_client(args.server_url, args.reach, args.server_app, rt)
    credential = credential_from(rt)
    problem = ""
    for left in rt.until(args.timeout):
        problem = look(server, credential, args.server_app)
        if not problem and args.accepted_keys:
            problem = look_at_each_machine(server, credential, args, rt)
        if not problem:
            rt.progress.say(f"{args.server_url} is ready, closed to strangers, and takes our key")
            return {"url": args.server_url, "verified": True}
        rt.progress.waiting(problem, left)
    raise OpsError(
        f'could not verify server "{args.server_url}": {problem}, still so after {args.timeout:.0f} s. Read its log '
        f'(app "{args.server_app}", for example "fly logs -a {args.server_app}"), fix the cause, then run "pulumi up" '
        "again."
    )


def look(server: PrefectClient, credential: Credential, app: str) -> str:
    """Check once. Return the first problem, or an empty text when there is none.

    Raises:
        OpsError: the server is open, which waiting does not fix.
    """
    try:
        server.ready()
        anonymous = server.api_status()
        if 200 <= anonymous < 300:
            raise OpsError(
                f'could not verify server of app "{app}": it answers API requests without any credential (HTTP '
                f"{anonymous}), so anybody can run flows on it. It does not run the image of docker/prefect: check "
                'image.reference, and take it offline ("fly scale count 0") until it is closed.'
            )
        if anonymous != 401:
            return f"an API request without credentials is answered HTTP {anonymous} instead of 401"
        for form, header in (("Basic", credential.basic()), ("Bearer", credential.bearer())):
            status = server.api_status(header)
            if status != 200:
                return f'an API request with key "{credential.name}" as {form} is answered HTTP {status}'
        status, content_type = server.ui_status()
    except PrefectUnreachableError as silence:
        return f"the server does not answer yet: {silence.said}"
    except PrefectError as other:
        return other.said
    if status != 200 or not content_type.startswith("text/html"):
        return f"the UI's page is answered HTTP {status} ({content_type or 'no content type'})"
    return ""


def look_at_each_machine(server: PrefectClient, credential: Credential, args: argparse.Namespace, rt: Runtime) -> str:
    """Return which machine accepts other keys than it should, empty when none does.

    Machines follow the stack's keys within seconds; one that does not, or that runs another image, is found here.

    Raises:
        FlyError: the machines cannot be listed.
    """
    wanted = set(args.accepted_keys.split(","))
    fly = FlyClient.from_environment(rt.world, rt.environ, progress=rt.progress.say)
    for machine in fly.machines.list(args.server_app):
        if not serves(machine):
            continue
        try:
            keys = server.keys(credential, machine.id)
        except PrefectUnauthorizedError:
            keys = ServerKeys(use={}, generation=0, trouble="")
        except PrefectError as other:
            return f'machine "{machine.id}" ({machine.name}) does not answer: {other.said}'
        accepted = set(keys.use)
        if accepted != wanted:
            return _other_keys(args.server_app, machine, accepted - wanted)
        if keys.generation < args.keys_generation:
            why = keys.trouble or "it does not follow them"
            return (
                f'machine "{machine.id}" ({machine.name}) uses generation {keys.generation} of the keys and not '
                f"{args.keys_generation}: {why}"
            )
    return ""


def _other_keys(app: str, machine: Machine, too_many: set[str]) -> str:
    what = f"still accepts the key {', '.join(sorted(too_many))}" if too_many else "does not accept the stack's keys"
    return (
        f'machine "{machine.id}" ({machine.name}) serves requests and {what}; if this stack did not make it, remove it '
        f'with "fly machine destroy --force {machine.id} -a {app}"'
    )


def credential_from(rt: Runtime) -> Credential:
    """Read PREFECT_FLY_VERIFY_KEY.

    Raises:
        OpsError: it is missing or malformed.
    """
    try:
        return Credential.parse(rt.environ.get(VERIFY_KEY, ""))
    except ValueError as reason:
        raise OpsError(
            f'could not read variable "{VERIFY_KEY}": {reason}. The program sets it; by hand, give a key that the '
            "server accepts."
        ) from None
