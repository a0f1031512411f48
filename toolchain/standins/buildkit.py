"""Reads the lines a build printed out of BuildKit's progress records.

The daemon wraps them in a protocol buffer (moby/buildkit api/services/control, StatusResponse). What matters here:
StatusResponse.vertexes = 1 with Vertex.name = 3, and StatusResponse.logs = 3 with VertexLog.msg = 4; a message class
for that would be a dependency for two strings.
"""

from __future__ import annotations

from collections.abc import Iterator

_VERTEX, _VERTEX_NAME, _VERTEX_STARTED, _VERTEX_COMPLETED = 1, 3, 5, 6
_LOG, _LOG_TEXT = 3, 4
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def lines_of(record: bytes) -> list[str]:
    """The steps that began and the lines that were printed, in the record's order."""
    lines: list[str] = []
    for field, value in _fields(record):
        if field == _LOG:
            text = dict(_fields(value)).get(_LOG_TEXT, b"")
            lines += text.decode(errors="replace").splitlines()
        elif field == _VERTEX:
            vertex = dict(_fields(value))
            if _VERTEX_STARTED in vertex and _VERTEX_COMPLETED not in vertex:
                lines.append(vertex.get(_VERTEX_NAME, b"").decode(errors="replace"))
    return lines


def _fields(record: bytes) -> Iterator[tuple[int, bytes]]:
    """Field numbers with the bytes of length-delimited fields; other kinds are stepped over."""
    at = 0
    while at < len(record):
        key, at = _varint(record, at)
        kind = key & 7
        if kind == _VARINT:
            _, at = _varint(record, at)
        elif kind == _BYTES:
            length, at = _varint(record, at)
            yield key >> 3, record[at : at + length]
            at += length
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            return


def _varint(record: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(record):
        byte = record[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return value, at
