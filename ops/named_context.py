"""TLS with a server that is reached by another name than its own."""

from __future__ import annotations

import ssl
from typing import Self


class NamedContext(ssl.SSLContext):
    """Asks for the certificate of `name`, and checks it by that, whichever address the connection leads to."""

    name: str

    @classmethod
    def of(cls, name: str, ca: str) -> Self:
        """Return a context that trusts `ca` (PEM); without one it encrypts and checks nothing, as sslmode=require."""
        made = cls(ssl.PROTOCOL_TLS_CLIENT)
        made.name = name
        if ca:
            made.load_verify_locations(cadata=ca)
        else:
            made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
        return made

    def wrap_bio(  # noqa: D102 - the standard library's, which asyncio calls
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,  # noqa: ARG002 - that of the connection
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        return super().wrap_bio(incoming, outgoing, server_side, self.name, session)
