"""GET /api/lineage and what is below it; the gate has checked the credential.

The graph is made once in a few seconds however many ask, and kept compressed. Everything else has a page size.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

from prefect_server.asgi import Scope, Send, answer_json, header_values
from prefect_server.lineage import tables
from prefect_server.lineage.filling import Borrow
from prefect_server.lineage.open_lineage import event_of
from prefect_server.observing import CouldNotAskError
from prefect_server.own_tables import in_own_schema
from prefect_server.pages import VARY
from prefect_server.surface import LINEAGE_BASE

MOST_ASSETS, MOST_EDGES = 20_000, 100_000
MOST_IN_A_PAGE = 500
RUNS_IN_A_PAGE = 50
FRESH_SECONDS = 3.0
STATEMENT_SECONDS = 30.0
_LARGEST_ID = 2**63 - 1


class BadQueryError(ValueError):
    """A parameter cannot be used; the text names it."""


class Lineage:
    """Answers the API's requests from the tables of the lineage.

    Args:
        borrow: lends a connection.
        schema: Prefect's.
        clock: seconds, for how old the graph may be.
    """

    def __init__(self, borrow: Borrow, *, schema: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._borrow, self._schema, self._clock = borrow, schema, clock
        self._graph: tuple[bytes, bytes] | None = None
        self._made_at = float("-inf")
        self._making: asyncio.Task[None] | None = None

    async def answer(self, scope: Scope, send: Send) -> None:
        """Answer one request."""
        path, given = scope["path"], _query(scope)
        try:
            if scope["method"] not in {"GET", "HEAD"}:
                await _say(scope, send, 405, "The lineage is read only: use GET.")
            elif path == LINEAGE_BASE:
                await self._answer_graph(scope, send)
            elif path == f"{LINEAGE_BASE}/asset":
                await self._answer_asset(scope, send, given)
            elif path == f"{LINEAGE_BASE}/openlineage":
                await answer_json(scope, send, 200, await self._export(given))
            else:
                await _say(scope, send, 404, "Not Found")
        except BadQueryError as error:
            await _say(scope, send, 422, str(error))
        except (CouldNotAskError, TimeoutError):
            await _say(scope, send, 503, "The database did not answer. Try again.")

    async def _answer_graph(self, scope: Scope, send: Send) -> None:
        if self._making is None and self._clock() - self._made_at >= FRESH_SECONDS:
            self._making = asyncio.create_task(self._make_graph())
        if self._making is not None:
            # Shielded: one client that hangs up must not take the answer away from the others.
            await asyncio.shield(self._making)
        if self._graph is None:
            raise CouldNotAskError("nothing was made")
        etag, body = self._graph
        headers = [(b"content-type", b"application/json"), (b"etag", etag), (b"cache-control", b"no-cache"), VARY]
        status = 304 if etag in header_values(scope, b"if-none-match") else 200
        if any(b"gzip" in value for value in header_values(scope, b"accept-encoding")):
            headers.append((b"content-encoding", b"gzip"))
        else:
            body = await asyncio.to_thread(gzip.decompress, body)
        if status == 304 or scope["method"] == "HEAD":
            body = b""
        else:
            headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _make_graph(self) -> None:
        try:
            self._graph = None
            async with self._borrow() as connection:
                text = await connection.fetchval(
                    self._sql(tables.GRAPH), MOST_ASSETS, MOST_EDGES, timeout=STATEMENT_SECONDS
                )
            self._graph = await asyncio.to_thread(_packed, text)
            self._made_at = self._clock()
        finally:
            self._making = None

    async def _answer_asset(self, scope: Scope, send: Send, given: Mapping[str, str]) -> None:
        key = given.get("key", "")
        before = _time(given, "before"), _number(given, "before_id", _LARGEST_ID)
        async with self._borrow() as connection:
            asset = await connection.fetchrow(self._sql(tables.ASSET), key.replace("\0", ""))
            if asset is None:
                await _say(scope, send, 404, f'There is no asset "{key[:200]}".')
                return
            runs = await connection.fetch(self._sql(tables.RUNS), asset["id"], *before, RUNS_IN_A_PAGE)
            around = await connection.fetch(self._sql(tables.NEIGHBOURS), asset["id"])
            writers = await connection.fetch(self._sql(tables.WRITERS), asset["id"])
        content = {name: value for name, value in asset.items() if name != "id"} | {
            "owners": json.loads(asset["owners"] or "[]"),
            "upstream": [row["key"] for row in around if row["is_upstream"]],
            "downstream": [row["key"] for row in around if not row["is_upstream"]],
            "flows": [dict(row) for row in writers],
            "runs": [dict(row) | {"metadata": json.loads(row["metadata"] or "{}")} for row in runs],
        }
        await answer_json(scope, send, 200, _plain(content))

    async def _export(self, given: Mapping[str, str]) -> dict[str, object]:
        after, limit = _number(given, "after", 0), _number(given, "limit", MOST_IN_A_PAGE)
        async with self._borrow() as connection:
            rows = await connection.fetch(
                self._sql(tables.EXPORT), after, min(limit, MOST_IN_A_PAGE), timeout=STATEMENT_SECONDS
            )
        return {"events": [event_of(row) for row in rows], "next": rows[-1]["id"] if rows else after}

    def _sql(self, statement: str) -> str:
        return in_own_schema(statement, self._schema)


def _packed(text: str) -> tuple[bytes, bytes]:
    """Return the ETag and the compressed body. The level is cheap: the graph changes with every run."""
    plain = text.encode()
    return b'W/"%s"' % hashlib.sha256(plain).hexdigest()[:32].encode(), gzip.compress(plain, 4, mtime=0)


async def _say(scope: Scope, send: Send, status: int, sentence: str) -> None:
    await answer_json(scope, send, status, {"exception_message": sentence})


def _query(scope: Scope) -> dict[str, str]:
    found = parse_qs(scope.get("query_string", b"").decode("utf-8", "replace"), max_num_fields=20)
    return {name: values[0] for name, values in found.items()}


def _number(given: Mapping[str, str], name: str, default: int) -> int:
    text = given.get(name, str(default))
    if not text.isascii() or not text.isdigit() or int(text) > _LARGEST_ID:
        raise BadQueryError(f'The parameter "{name}" must be a whole number.')
    return int(text)


def _time(given: Mapping[str, str], name: str) -> datetime:
    if name not in given:
        return datetime.now(UTC) + timedelta(days=36_500)
    try:
        return datetime.fromtimestamp(float(given[name]), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise BadQueryError(f'The parameter "{name}" must be a time in unix seconds.') from error


def _plain(value: Any) -> Any:
    """Make times unix seconds and ids text, all the way down."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, datetime):
        return value.timestamp()
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
