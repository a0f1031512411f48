"""Certificates for servers on this machine, each signed by an authority made for it alone (trustme).

The authority's key never leaves memory: once the server certificate is signed nothing else can be.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import trustme

_LIFETIME = timedelta(days=3650)


@dataclass(frozen=True)
class ServerCertificate:
    """A server's certificate and key with the authority that a client needs to verify them, all PEM."""

    authority: bytes
    certificate: bytes
    key: bytes


def issue(authority_name: str, addresses: tuple[str, ...] = ("127.0.0.1", "::1")) -> ServerCertificate:
    """Make a new authority and one server certificate for `localhost` and `addresses`, valid for ten years."""
    authority = trustme.CA(organization_name=authority_name)
    expires = datetime.now(UTC) + _LIFETIME
    made = authority.issue_cert("localhost", *addresses, not_after=expires)
    return ServerCertificate(
        authority=authority.cert_pem.bytes(),
        certificate=made.cert_chain_pems[0].bytes(),
        key=made.private_key_pem.bytes(),
    )
