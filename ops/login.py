"""login: for people, when somebody gets access: print what they type into the UI, or make a key that only they have.

The key goes to standard output, everything else to standard error. A key that the program generated is read from the
stack's encrypted state, as often as it is asked for. With --new a key is made here, shown this once and stored nowhere:
its hash goes into the stack file, so that neither the state nor whoever runs `pulumi up` ever has the key.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import secrets
import subprocess
import sys

from clients.endpoints import World
from clients.names import KEY_PREFIX, LOGIN_KEYS_OUTPUT
from ops.errors import OpsError
from ops.runtime import Runtime

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,47}")
_RANDOM_BYTES = 32


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags; nothing is asked of any API, so there is no --endpoints."""
    parser.set_defaults(endpoints=World.REAL.value)
    parser.add_argument("stack", metavar="NAME", help="the stack's name")
    parser.add_argument("--login", required=True, metavar="LOGIN", help="name of the person, as in logins")
    parser.add_argument("--new", action="store_true", help="make a key here; its hash goes into the stack file")


def run(args: argparse.Namespace, _rt: Runtime) -> None:
    """Print `name:key`.

    Raises:
        OpsError: the stack cannot be read, or has no key of that login.
    """
    if not _NAME.fullmatch(args.login):
        raise OpsError(
            f'could not make login "{args.login[:64]}": a name is 1 to 48 letters, digits, "_" and "-". Choose another.'
        )
    credential, said = _new(args.stack, args.login) if args.new else _kept(args.stack, args.login)
    sys.stderr.write(f"{said}\n")
    sys.stdout.write(f"{credential}\n")


def _new(stack: str, login: str) -> tuple[str, str]:
    key = KEY_PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    hashed = hashlib.sha256(key.encode()).hexdigest()
    return f"{login}:{key}", (
        f"Put this into prefect-fly:logins of Pulumi.{stack}.yaml, then pulumi up:\n"
        f"  - {{name: {login}, rights: viewer, sha256: {hashed}}}\n"
        "The whole of the next line is typed into the UI's one field. It is shown this once and stored nowhere."
    )


def _kept(stack: str, login: str) -> tuple[str, str]:
    keys = _keys_of(stack)
    if login not in keys:
        known = ", ".join(sorted(keys)) or "none"
        raise OpsError(
            f'could not show login "{login}" of stack "{stack}": the state holds no such key (it has: {known}). '
            "Add it to logins and run pulumi up; a login with a sha256 has a key that only its owner knows."
        )
    return keys[login], "The whole of the next line is typed into the UI's one field."


def _keys_of(stack: str) -> dict[str, str]:
    command = ["pulumi", "stack", "output", LOGIN_KEYS_OUTPUT, "--show-secrets", "--json", "--stack", stack]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    except (OSError, subprocess.TimeoutExpired) as cause:
        raise OpsError(
            f'could not read stack "{stack}": pulumi did not run ({type(cause).__name__}). '
            "See docs/toolchain.md for a shell in which it works."
        ) from cause
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise OpsError(
            f'could not read stack "{stack}": {said[0]} (exit code {done.returncode}). '
            'See "pulumi stack ls"; the stack must have been deployed with a server of its own.'
        )
    keys: dict[str, str] = json.loads(done.stdout)
    return keys
