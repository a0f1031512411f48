"""The first line and the headers of HTTP messages, and what the edge adds to and takes from them."""

from __future__ import annotations

from dataclasses import dataclass, field

from sandbox.edge.route import Route

_HOP_HEADERS = frozenset({"connection", "keep-alive", "proxy-connection", "upgrade", "http2-settings"})
_FORWARDED = frozenset({"x-forwarded-for", "x-forwarded-proto", "x-forwarded-port", "fly-request-id", "fly-client-ip"})


@dataclass
class Head:
    """The first line and the headers of a request or response."""

    line: str
    headers: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def parse(cls, raw: bytes) -> Head:
        """Read it.

        Raises:
            ValueError: a line is no header.
        """
        lines = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
        headers = []
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip():
                raise ValueError(line)
            headers.append((name, value.strip()))
        return cls(lines[0], headers)

    @property
    def call(self) -> tuple[str, str]:
        """Return method and path, without the query, of a request."""
        method, _, target = self.line.partition(" ")
        return method, target.partition(" ")[0].partition("?")[0]

    def get(self, name: str) -> str:
        """Return the first header of this name in small letters, empty when there is none."""
        return next((value for key, value in self.headers if key.lower() == name), "")

    def without(self, names: frozenset[str]) -> list[tuple[str, str]]:
        """Return the headers but those of these names, in small letters."""
        return [(name, value) for name, value in self.headers if name.lower() not in names]

    def encode(self, headers: list[tuple[str, str]]) -> bytes:
        """Return the bytes of the first line with other headers."""
        lines = [self.line, *(f"{name}: {value}" for name, value in headers)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def request_headers(request: Head, client: str, request_id: str, region: str) -> list[tuple[str, str]]:
    """Return the headers with which a machine gets the request."""
    headers = request.without(_HOP_HEADERS | _FORWARDED)
    if request.get("upgrade").lower() == "websocket":
        headers += [("Connection", "Upgrade"), ("Upgrade", request.get("upgrade"))]
    else:
        headers.append(("Connection", "close"))
    before = request.get("x-forwarded-for")
    return [
        *headers,
        ("X-Forwarded-For", f"{before}, {client}" if before else client),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Port", "80"),
        ("Fly-Client-IP", client),
        ("Fly-Forwarded-Proto", "http"),
        ("Fly-Forwarded-Port", "80"),
        ("Fly-Region", region),
        ("Fly-Request-Id", request_id),
        ("Via", "1.1 fly.io"),
    ]


def extra_headers(route: Route, request_id: str) -> list[tuple[str, str]]:
    """Return what the edge adds to every answer."""
    headers = [("Via", "1.1 fly.io"), ("Fly-Request-Id", request_id)]
    if route.force_https:
        headers.append(("Fly-Sandbox-Force-Https", "would redirect"))
    return headers


def response_headers(response: Head, status: str) -> list[tuple[str, str]]:
    """Return the headers of a machine's answer as the client gets them: an upgrade's as they are."""
    return response.headers if status == "101" else [*response.without(_HOP_HEADERS), ("Connection", "close")]
