"""The script that the gate puts into the UI's page, and how a browser gets both."""

from __future__ import annotations

import asyncio
import gzip

from prefect_server import rights_script
from prefect_server.asgi import Receive, Scope, Send
from prefect_server.pages import Pages
from prefect_server.self_check import Exchange

PAGE = b"<!DOCTYPE html><html><head><title>x</title></head><body>" + b"y" * 2000 + b"</body></html>"


async def ui(scope: Scope, _receive: Receive, send: Send) -> None:
    """Prefect's files: a page in two pieces, and a script; a page is not sent again to who has it."""
    names = {name for name, _ in scope["headers"]}
    is_page = not scope["path"].endswith(".js")
    body = PAGE if is_page else b"const x = 1;" * 200
    status = 304 if b"if-none-match" in names else 200
    kind = b"text/html; charset=utf-8" if is_page else b"application/javascript"
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body)), (b"etag", b'"theirs"')]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body[:100], "more_body": True})
    await send({"type": "http.response.body", "body": body[100:]})


def get(path: str, **headers: str) -> tuple[int, dict[bytes, bytes], bytes]:
    """Ask the gate's pages for a path: status, headers, body."""
    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    exchange = Exchange([])
    scope: Scope = {"type": "http", "method": "GET", "path": path, "headers": given, "scheme": "http"}
    asyncio.run(Pages(ui).answer(scope, exchange.receive, exchange.send))
    body = b"".join(message.get("body", b"") for message in exchange.sent[1:])
    return exchange.sent[0]["status"], dict(exchange.sent[0]["headers"]), body


def test_the_script_is_the_first_thing_of_the_page() -> None:
    """Before the UI's own scripts, once, with the length and the ETag of what is sent; compressed where wanted."""
    status, headers, body = get("/v2/dashboard")
    assert status == 200
    assert body == PAGE.replace(b"<head>", b'<head><script src="/prefect-fly/rights.js"></script>')
    assert headers[b"content-length"] == b"%d" % len(body)
    assert headers[b"etag"] != b'"theirs"'
    packed = get("/v2/dashboard", accept_encoding="gzip")
    assert packed[1][b"content-encoding"] == b"gzip"
    assert gzip.decompress(packed[2]) == body


def test_a_page_of_before_the_script_is_not_kept() -> None:
    """Prefect's own ETag brings the whole page, ours brings 304; other files are Prefect's alone."""
    assert get("/v2/", if_none_match='"theirs"')[0] == 200
    ours = get("/v2/")[1][b"etag"].decode()
    assert get("/v2/", if_none_match=ours)[::2] == (304, b"")
    assert get("/v2/assets/x.js", if_none_match='"theirs"')[0] == 304
    assert b"rights.js" not in get("/v2/assets/x.js")[2]


def test_the_script_is_served_from_here() -> None:
    """With the content policy, and not again to who has it."""
    status, headers, body = get(rights_script.PATH)
    assert status == 200
    assert headers[b"content-type"] == b"text/javascript"
    assert b"script-src 'self'" in headers[b"content-security-policy"]
    assert b"/gate/whoami" in body
    assert get(rights_script.PATH, if_none_match=headers[b"etag"].decode())[::2] == (304, b"")


def test_the_script_writes_text_and_asks_nobody_else() -> None:
    """Names and sentences never become markup, and no address of another host stands in it."""
    script = get(rights_script.PATH)[2].decode()
    assert "innerHTML" not in script
    assert "http" not in script.replace("XMLHttpRequest", "")
