"""Replies that no API of ours sends, by name: what a proxy, a broken server or another API makes of them."""

from __future__ import annotations

from json import dumps

import requests

from tests.support.scripted_http import answer

# In the text of a reply, as an API or a proxy echoes a request's header.
ECHO = "Bearer gho_0123456789abcdefghijklmnop"
TOKEN = ECHO.partition(" ")[2]

JSON = {"Content-Type": "application/json"}
HTML = {"Content-Type": "text/html; charset=utf-8"}


def of_json(status: int, body: object) -> requests.Response:
    return answer(status, dumps(body).encode(), JSON)


def deep(depth: int, opening: bytes = b'{"a":', closing: bytes = b"}") -> bytes:
    return opening * depth + b"1" + closing * depth


PAGE = b"<!doctype html><html><title>Gateway</title>" + ECHO.encode()

# Successes that are none, whatever was asked.
NO_SUCCESS: dict[str, requests.Response] = {
    "HTML": answer(200, PAGE, HTML),
    "HTML that says it is JSON": answer(200, PAGE, JSON),
    "JSON that says it is HTML": answer(200, dumps({"id": 1, "name": "x"}).encode(), HTML),
    "half a reply": answer(200, b'{"id": "1", "name": "sh', JSON),
    "an empty reply": answer(200, b"", JSON),
    "a text": of_json(200, "ok"),
    "a number": of_json(200, 7),
    "true": of_json(200, True),
    "a list of texts": of_json(200, ["a", ECHO]),
    "a list of lists": of_json(200, [[], []]),
    "an object of something else": of_json(200, {"hello": "world", "echo": ECHO}),
    "an error with 200": of_json(200, {"error": f"no route for {ECHO}"}),
    "two documents": answer(200, b"{}{}", JSON),
    "NaN": answer(200, b"NaN", JSON),
    "latin-1": answer(200, '{"id": "1", "name": "für"}'.encode("latin-1"), JSON),
    "the half of UTF-16": answer(200, dumps({"id": "1"}).encode("utf-16")[:-1], JSON),
    "bytes": answer(200, bytes(range(256)), {"Content-Type": "application/octet-stream"}),
}
# Errors whose bodies are no errors; the status says what kind.
NO_ERROR: dict[str, requests.Response] = {
    f"{status} {name}": reply
    for status in (400, 401, 403, 404, 409, 418, 422, 500, 503)
    for name, reply in {
        "HTML": answer(status, PAGE, HTML),
        "nothing": answer(status, b"", JSON),
        "null": of_json(status, None),
        "a list": of_json(status, [ECHO, {"error": 1}]),
        "a message of another kind": of_json(status, {"error": {"a": [ECHO]}, "message": ["b"], "errors": [[1], 2]}),
        "a message of many lines": of_json(status, {"error": "a\nb", "message": "a\r\nb", "errors": {"url": ["a\n"]}}),
        "latin-1": answer(status, '{"error": "für", "message": "für"}'.encode("latin-1"), JSON),
    }.items()
}
# Each takes a while to read, so they are tried on few calls.
HEAVY: dict[str, requests.Response] = {
    "10 MB of text": of_json(200, "x" * 10_000_000),
    "10 MB of a message": of_json(422, {"error": "x" * 10_000_000, "message": "y" * 10_000_000}),
    "40 MB": answer(200, b" " * 40_000_000, JSON),
    "100,000 objects deep": answer(200, deep(100_000), JSON),
    "100,000 lists deep": answer(200, deep(100_000, b"[", b"]"), JSON),
    "an error 100,000 objects deep": answer(500, deep(100_000), JSON),
    "a number of 5,000 digits": answer(200, b'{"id": ' + b"9" * 5_000 + b"}", JSON),
}
