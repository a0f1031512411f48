"""Streams whose messages get lost, come twice or come late."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prefect_server.stream_end import StreamEnd as ImageEnd

from ops.stream_end import StreamEnd, StreamGapError

ROOT = Path(__file__).parents[3]
FATES = ("arrives", "request lost", "answer lost", "late copy")


class Relaying:
    """The image's end, and what it took so far."""

    def __init__(self) -> None:
        self.end, self.taken = ImageEnd(), b""

    def answer(self, message: Mapping[str, Any], most: int, *, takes: bool) -> dict[str, Any]:
        """Answer a message as the relay does; it takes nothing while the database is slow."""
        self.end.acknowledge(message)
        if takes:
            self.taken += self.end.take(message)
        return self.end.message(most)


@given(
    there=st.binary(max_size=60),
    back=st.binary(max_size=60),
    rounds=st.lists(st.tuples(st.sampled_from(FATES), st.integers(1, 9), st.booleans()), max_size=80),
)
@example(there=b"abc", back=b"xyz", rounds=[("answer lost", 3, True), ("late copy", 1, True)])
def test_each_byte_arrives_once_and_in_order(there: bytes, back: bytes, rounds: list[tuple[str, int, bool]]) -> None:
    """Whatever gets lost, is repeated or comes late, in whatever pieces: both streams arrive whole in the end."""
    near, far, got = StreamEnd(), Relaying(), b""
    near.send(there)
    far.end.send(back)
    sent: list[dict[str, Any]] = []
    for fate, most, takes in [*rounds, *[("arrives", 7, True)] * 40]:
        message = near.message(most)
        sent.append(message)
        if fate == "late copy":
            # An early one, which was taken for lost, comes after newer ones; nobody waits for its answer.
            far.answer(sent[len(sent) // 2], most, takes=takes)
        if fate == "request lost":
            continue
        answer = far.answer(message, most, takes=takes)
        if fate != "answer lost":
            near.acknowledge(answer)
            got += near.take(answer)
        assert there.startswith(far.taken)
        assert back.startswith(got)
    assert (far.taken, got) == (there, back)
    near.acknowledge(far.answer(near.message(1), 1, takes=True))
    assert (near.waiting, far.end.waiting) == (0, 0)


def test_what_does_not_continue_is_refused() -> None:
    """Bytes after a gap, and a receipt for bytes that were never sent, are mistakes and no data."""
    end = StreamEnd()
    with pytest.raises(StreamGapError, match="2 bytes are missing"):
        end.take({"offset": 2, "data": "", "received": 0})
    with pytest.raises(StreamGapError, match="1 bytes arrived that were not sent"):
        end.acknowledge({"offset": 0, "data": "", "received": 1})


def test_both_ends_are_the_same_code() -> None:
    """The image and the program cannot share a module, so the file stands twice."""
    image = ROOT / "docker/prefect/prefect_server/stream_end.py"
    assert image.read_text() == (ROOT / "ops/stream_end.py").read_text()
