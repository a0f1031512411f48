"""verify-server: prove that the new server is up, sees its database, is closed, takes our keys and shows its UI."""

from __future__ import annotations

import argparse

from clients.prefect import Credential, PrefectClient, PrefectError, PrefectUnreachableError
from ops import arguments
from ops.errors import OpsError
from ops.runtime import Runtime

KEY_VARIABLE = "PREFECT_FLY_VERIFY_KEY"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    arguments.endpoints(parser)
    parser.add_argument("--url", required=True, help="public address of the server, without /api")
    parser.add_argument("--app", required=True, help="the server's Fly app, for messages")
    arguments.timeout(parser, 180)


def run(args: argparse.Namespace, rt: Runtime) -> dict[str, object]:
    """Look until everything holds.

    Raises:
        OpsError: it does not hold in time, or the server is open to anybody.
    """
    server = PrefectClient.at(args.url, rt.world)
    credential = credential_from(rt)
    problem = ""
    for left in rt.until(args.timeout):
        problem = look(server, credential, args.app)
        if not problem:
            rt.progress.say(f"{args.url} is ready, closed to strangers, and takes our key")
            return {"url": args.url, "verified": True}
        rt.progress.waiting(problem, left)
    raise OpsError(
        f'could not verify server "{args.url}": {problem}, still so after {args.timeout:.0f} s. Read its log (app '
        f'"{args.app}", for example "fly logs -a {args.app}"), mend the cause, then run "pulumi up" again.'
    )


def look(server: PrefectClient, credential: Credential, app: str) -> str:
    """Return what does not hold yet, empty when all does.

    Raises:
        OpsError: the server is open, which waiting does not mend.
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
        return f"the server does not answer yet: {silence}"
    except PrefectError as other:
        return str(other)
    if status != 200 or not content_type.startswith("text/html"):
        return f"the UI's page is answered HTTP {status} ({content_type or 'no content type'})"
    return ""


def credential_from(rt: Runtime) -> Credential:
    """Read PREFECT_FLY_VERIFY_KEY.

    Raises:
        OpsError: it is missing or malformed.
    """
    try:
        return Credential.parse(rt.environ.get(KEY_VARIABLE, ""))
    except ValueError as reason:
        raise OpsError(
            f'could not read variable "{KEY_VARIABLE}": {reason}. The program sets it; by hand, give a key that the '
            "server accepts."
        ) from None
