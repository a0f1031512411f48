"""Strangers against the real server: every route of its own schema, and bytes that are meant to be misread."""

from __future__ import annotations

import http.client
import re
import socket
from contextlib import suppress

import pytest
import requests
from prefect_server.pages import HSTS, SECURITY_HEADERS
from prefect_server.permission import Match

from tests.image.conftest import KEYS, PEOPLE
from tests.image.test_rights import schema
from tests.support.prefect_server import Program

__all__ = ["schema"]

pytestmark = pytest.mark.prefect

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
REFUSED = {
    "nothing": {},
    "a wrong key": {"Authorization": "Bearer wrong"},
    "a wrong key with a known name": {"Authorization": "Bearer orchestrator:wrong"},
    "the key of somebody else": {"Authorization": f"Bearer github:{KEYS['orchestrator']}"},
    "a key whose time is over": {"Authorization": f"Bearer {PEOPLE['operator-left']}"},
}
OPEN = {("GET", "/health"), ("GET", "/ready")}
# Answered with a version by whoever lets it through; a page of the UI never holds it like this.
TARGET = "/api/admin/version"


@pytest.mark.parametrize("given", REFUSED)
def test_every_route_of_the_schema_is_closed(server: Program, schema: list[tuple[str, str, Match]], given: str) -> None:
    """Every operation that the server itself describes answers 401 but for health and ready."""
    with requests.Session() as session:
        for method, path, _ in schema:
            reply = session.request(method, server.api_url + path, headers=REFUSED[given], timeout=600)
            assert reply.status_code == (200 if (method, path) in OPEN else 401), f"{method} {path}"
    assert len(schema) > 150


def test_no_other_method_opens_a_route(server: Program, schema: list[tuple[str, str, Match]]) -> None:
    """Each path of the schema with every method that it does not describe."""
    described = {(method, path) for method, path, _ in schema}
    with requests.Session() as session:
        for path in sorted({path for _, path, _ in schema}):
            for method in METHODS:
                if (method, path) not in described:
                    reply = session.request(method, server.api_url + path, timeout=600)
                    assert reply.status_code == 401, f"{method} {path}"


def exchange(server: Program, data: bytes) -> bytes:
    """Send bytes as they stand and return all that comes back until the server closes the connection."""
    reply = bytearray()
    with socket.create_connection(("127.0.0.1", server.port), timeout=600) as raw:
        raw.sendall(data)
        with suppress(ConnectionError):
            while part := raw.recv(65536):
                reply += part
    return bytes(reply)


def request(target: str = TARGET, *lines: str, method: str = "GET", body: str = "", host: str | None = "x") -> bytes:
    head = [f"{method} {target} HTTP/1.1", *([f"Host: {host}"] if host is not None else []), *lines]
    return "\r\n".join([*head, "Connection: close", "", body]).encode("latin-1")


def version(server: Program) -> bytes:
    """What TARGET answers to a good key, which shows that `exchange` would see it."""
    found = exchange(server, request(TARGET, f"Authorization: Bearer {KEYS['admin']}"))
    assert found.startswith(b"HTTP/1.1 200")
    body = found.rpartition(b"\r\n\r\n")[2]
    assert re.fullmatch(rb'"3\.\d+\.\d+"', body)
    return body


INNER = f"GET {TARGET} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
HIDDEN = f"0\r\n\r\n{INNER}"
CHUNKED = "Transfer-Encoding: chunked"
SOCKET = ("Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")
GOOD = f"Authorization: Bearer {KEYS['admin']}"
TRICKS: dict[str, bytes] = {
    "absolute form": request(f"http://x{TARGET}"),
    "absolute form of another host": request(f"http://other.example{TARGET}"),
    "absolute form with a password": request(f"http://admin:{KEYS['admin']}@x{TARGET}"),
    "authority form": request("x:443", method="CONNECT"),
    "asterisk form": request("*", method="OPTIONS"),
    "no slash": request("api/admin/version"),
    "a fragment": request(f"/#{TARGET}"),
    "a query that looks like a path": request(f"/?{TARGET}"),
    "a path parameter": request("/;/api/admin/version"),
    "an encoded slash": request("/api%2fadmin%2fversion"),
    "an encoded slash, twice": request("/api%252fadmin%252fversion"),
    "an overlong slash": request("/api%c0%afadmin%c0%afversion"),
    "an encoded dot": request("/v2/%2e%2e/api/admin/version"),
    "an encoded line": request(f"/v2/%0d%0aX:%20y{TARGET}"),
    "an encoded null": request("/api/admin/version%00.html"),
    "a full-width slash": request("/api%ef%bc%8fadmin/version"),
    "no host": request(host=None),
    "two hosts": request(TARGET, "Host: y"),
    "a host with a path": request("/", host=f"x{TARGET}"),
    "a host of this machine": request(host="127.0.0.1"),
    "rewriting headers": request("/", f"X-Original-URL: {TARGET}", f"X-Rewrite-URL: {TARGET}"),
    "a forwarded prefix": request("/admin/version", "X-Forwarded-Prefix: /api", "X-Script-Name: /api"),
    "a forwarded address": request(
        TARGET, "X-Forwarded-For: 127.0.0.1", "Fly-Client-IP: ::1", "Forwarded: for=127.0.0.1"
    ),
    "another method by header": request(TARGET, "X-HTTP-Method-Override: GET", method="OPTIONS"),
    "a preflight that is none": request(TARGET, "Access-Control-Request-Method: GET", method="OPTIONS"),
    "two credentials": request(TARGET, GOOD, GOOD),
    "a folded credential": request(TARGET, "Authorization:", f" Bearer {KEYS['admin']}x"),
    "a blank before the colon": request(TARGET, GOOD.replace(":", " :", 1)),
    "a credential under another name": request(TARGET, f"Proxy-{GOOD}", f"Cookie: {GOOD}"),
    "two lengths": request("/", "Content-Length: 0", f"Content-Length: {len(INNER)}", method="POST", body=INNER),
    "a list of lengths": request("/", f"Content-Length: 0, {len(INNER)}", method="POST", body=INNER),
    "a negative length": request("/", "Content-Length: -1", method="POST", body=INNER),
    "a length with a sign": request("/", f"Content-Length: +{len(INNER)}", method="POST", body=INNER),
    "length and chunks": request("/", "Content-Length: 4", CHUNKED, method="POST", body=HIDDEN),
    "chunks and length": request("/", CHUNKED, "Content-Length: 4", body=HIDDEN),
    "an unknown encoding": request("/", "Transfer-Encoding: xchunked", method="POST", body=HIDDEN),
    "two encodings": request("/", "Transfer-Encoding: chunked, identity", method="POST", body=HIDDEN),
    "an encoding after a blank": request("/", "Transfer-Encoding : chunked", method="POST", body=HIDDEN),
    "a chunk that is too short": request("/", CHUNKED, body=f"1\r\nxx\r\n0\r\n\r\n{INNER}"),
    "a chunk's extension": request("/", CHUNKED, body=f"0;x={TARGET}\r\n\r\n{INNER}"),
    "a body on a page": request("/", f"Content-Length: {len(INNER)}", body=INNER),
    "one after the other": request("/").replace(b"Connection: close\r\n", b"") + INNER.encode(),
    "lines without a return": request().replace(b"\r\n", b"\n"),
    "returns alone": request().replace(b"\r\n", b"\r") + b"\r\n\r\n",
    "HTTP/1.0": request().replace(b"HTTP/1.1", b"HTTP/1.0"),
    "HTTP/0.9": f"GET {TARGET}\r\n\r\n".encode(),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an upgrade to HTTP/2": request(TARGET, "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"),
    "a websocket": request(TARGET, *SOCKET).replace(b"Connection: close", b"Connection: Upgrade"),
    "expecting to go on": request(TARGET, "Expect: 100-continue", "Content-Length: 2", method="POST", body="{}"),
}


@pytest.mark.parametrize("trick", TRICKS)
def test_no_trick_reaches_the_api(server: Program, trick: str) -> None:
    """However a request is spelled, framed or hidden in another one: what only a key may see does not come back."""
    shown, reply = version(server), exchange(server, TRICKS[trick])
    assert shown not in reply
    statuses = [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3})", reply)]
    assert all(status in {200, 307, 400, 401, 403, 404, 405, 426} for status in statuses), statuses
    # What was let through is a page of the UI.
    assert 200 not in statuses or b"<!doctype html" in reply.lower()


@pytest.mark.parametrize("path", ["/", "/v2/", "/v2/runs", "/lineage", "/no-such-page", "/ui-settings"])
def test_every_page_carries_the_headers_that_a_login_needs(server: Program, path: str) -> None:
    """Also a redirect and an error; once each, and HSTS only to whom Fly's proxy was asked by https."""
    for proto in ("http", "https"):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)
        connection.request("GET", path, headers={"X-Forwarded-Proto": proto})
        reply = connection.getresponse()
        for name, value in SECURITY_HEADERS:
            assert reply.headers.get_all(name.decode()) == [value.decode()], name
        assert (HSTS[0].decode() in reply.headers) == (proto == "https")
        connection.close()


def test_what_the_gate_answers_itself_is_not_guessed_at(server: Program) -> None:
    """A refusal is JSON and says so: no browser makes a page of it."""
    reply = requests.get(server.api_url + "/version", timeout=600)
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["cache-control"] == "no-store"
