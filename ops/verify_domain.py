"""verify-domain: wait until the name of one's own leads to the server and its certificate is valid, and say what lacks.

It changes nothing but to let Fly look at the name's DNS. Whoever uses the name comes after it.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace

from clients.fly import FlyClient
from clients.fly.certificates import Certificate
from clients.fly.errors import FlyNotFoundError
from clients.prefect import PrefectClient, PrefectError
from ops import arguments
from ops.errors import OpsError
from ops.runtime import Runtime

# A check may make Fly ask the authority, which takes only a few failures an hour for a name.
_CHECK_EVERY = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    arguments.endpoints(parser)
    arguments.server_app(parser)
    parser.add_argument("--domain", required=True, help="the name of one's own")
    arguments.server_url(parser)
    arguments.timeout(parser, 900)


def run(args: argparse.Namespace, rt: Runtime) -> dict[str, object]:
    """Look again and again until the server answers under the name, or the time is over.

    Raises:
        OpsError: the name cannot be used in time, or the app does not have it.
    """
    name = Name(FlyClient.from_environment(rt.world, rt.environ, progress=rt.progress.say), args, rt)
    server = PrefectClient.at(args.server_url, rt.world)
    problem = ""
    for left in rt.until(args.timeout):
        problem = look(name.certificate(), server)
        if not problem:
            rt.progress.say(f"{args.domain} has a valid certificate and leads to the server")
            return {"domain": args.domain, "verified": True}
        rt.progress.waiting(problem, left)
    raise OpsError(
        f'could not use domain "{args.domain}": {problem}, still so after {args.timeout:.0f} s. Nothing uses it yet. '
        'Put the DNS right, then run "pulumi up" again, or set fly.useDomain: false to go on without it.'
    )


class Name:
    """The name, of which Fly is asked often and told to look at the DNS more seldom."""

    def __init__(self, fly: FlyClient, args: argparse.Namespace, rt: Runtime) -> None:
        self._fly, self._app, self._domain, self._clock = fly, args.server_app, args.domain, rt.clock
        self._checked = -math.inf
        self._seen: tuple[str, ...] | None = None

    def certificate(self) -> Certificate:
        """Return how far it is.

        Raises:
            OpsError: the app does not have the name, which waiting does not fix.
        """
        due = self._clock() - self._checked >= _CHECK_EVERY
        ask = self._fly.certificates.check if due else self._fly.certificates.get
        try:
            found = ask(self._app, self._domain)
        except FlyNotFoundError as missing:
            raise OpsError(
                f'could not use domain "{self._domain}": app "{self._app}" does not have it ({missing.said}). Run '
                '"pulumi up --refresh", which asks for it again.'
            ) from missing
        if due:
            self._checked, self._seen = self._clock(), found.seen
        return replace(found, seen=self._seen)


def look(certificate: Certificate, server: PrefectClient) -> str:
    """Return what lacks until the server can be used under the name, or an empty text when nothing does."""
    if lacking := what_lacks(certificate):
        return lacking
    try:
        server.ready()
    except PrefectError as silence:
        return f"the certificate is valid, but the server does not answer under the name yet: {silence.said}"
    return ""


def what_lacks(certificate: Certificate) -> str:
    """Return what a certificate waits for, with the records to add; an empty text when it is issued."""
    if certificate.issued:
        return ""
    reasons = [f"the authority takes no more requests until {certificate.rate_limited_until}"]
    reasons = reasons if certificate.rate_limited_until else []
    if certificate.status == "pending_ownership":
        reasons.append(f"Fly wants proof that the name is yours: add {_rows(certificate, 'TXT')}")
    elif not certificate.configured:
        seen = certificate.seen
        found = "" if seen is None else f" (found: {', '.join(seen) or 'nothing'})"
        first = f"add {_rows(certificate, 'CNAME')}, or {_rows(certificate, 'A', 'AAAA')}"
        reasons.append(f"its DNS does not lead to the app{found}: {first}")
    else:
        reasons.append(f"its DNS leads to the app, and the certificate is not issued yet ({certificate.status})")
    return "; ".join([*reasons, *certificate.errors[-1:]])


def _rows(certificate: Certificate, *kinds: str) -> str:
    rows = [row for row in certificate.records if row.type in kinds]
    if "CNAME" in kinds:
        rows = [row for row in rows if row.name == certificate.hostname]
    return " and ".join(f"{row.type} {row.name} → {row.value}" for row in rows) or "the record that Fly names"
