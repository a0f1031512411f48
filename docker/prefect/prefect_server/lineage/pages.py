"""The page /lineage: its own files, for anybody, as the UI's are. The data comes from /api/lineage, with a key."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from prefect_server.asgi import Scope, Send, header_values
from prefect_server.pages import POLICY, VARY, own_headers

PATH = "/lineage"
FOLDER = Path(__file__).resolve().parents[1] / "static" / "lineage"
# None of our scripts is in a page and none evaluates text, so more is forbidden than for the UI.
STRICT_POLICY = POLICY.replace("script-src 'self' 'unsafe-inline' 'unsafe-eval'", "script-src 'self'")
_KINDS = {
    ".html": b"text/html; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}


@dataclass(frozen=True)
class File:
    """One file, compressed."""

    kind: bytes
    etag: bytes
    packed: bytes


@cache
def files() -> dict[str, File]:
    """Read every file once, by the path it is served at. A name that is not in the list does not reach the disk."""
    found = {
        f"{PATH}/{path.relative_to(FOLDER).as_posix()}": _read(path)
        for path in sorted(FOLDER.rglob("*"))
        if path.suffix in _KINDS
    }
    return found | {PATH: found[f"{PATH}/index.html"], f"{PATH}/": found[f"{PATH}/index.html"]}


def _read(path: Path) -> File:
    content = path.read_bytes()
    etag = b'W/"%s"' % hashlib.sha256(content).hexdigest()[:32].encode()
    return File(_KINDS[path.suffix], etag, gzip.compress(content, 9, mtime=0))


async def answer(scope: Scope, send: Send) -> bool:
    """Answer a GET or HEAD of one of our files; False when it is none of ours."""
    file = files().get(scope["path"]) if scope["path"].startswith(PATH) else None
    if file is None:
        return False
    headers = [(b"content-type", file.kind), (b"etag", file.etag), (b"cache-control", b"no-cache"), VARY]
    headers += own_headers(scope, STRICT_POLICY)
    if file.etag in header_values(scope, b"if-none-match"):
        await send({"type": "http.response.start", "status": 304, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
        return True
    body = file.packed
    if any(b"gzip" in value for value in header_values(scope, b"accept-encoding")):
        headers.append((b"content-encoding", b"gzip"))
    else:
        body = gzip.decompress(body)
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
    return True
