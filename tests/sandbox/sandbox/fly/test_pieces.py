from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.core.clock import Clock
from sandbox.fly.errors import BadRequest
from sandbox.fly.limits import RateLimits
from sandbox.fly.logs import LogBuffer
from sandbox.fly.models import App, app_from_json, to_json
from sandbox.fly.network import LoopbackBlock
from sandbox.fly.normalise import go_duration, seconds_of
from sandbox.images import Images, UnknownImageError, parse_reference, process_image_reference, tree_digest


@pytest.mark.parametrize(
    ("given", "seconds", "printed"),
    [
        ("60s", 60.0, "1m0s"),
        ("1m30s", 90.0, "1m30s"),
        ("2h", 7200.0, "2h0m0s"),
        ("250ms", 0.25, "250ms"),
        ("1.5s", 1.5, "1.5s"),
        (5_000_000_000, 5.0, "5s"),
        ("0s", 0.0, "0s"),
    ],
)
def test_durations_are_read_and_printed_as_go_does(given: object, seconds: float, printed: str) -> None:
    """A string is a Go duration, a bare number nanoseconds, and both come back in Go's spelling."""
    assert seconds_of(given, 9.0) == seconds
    assert go_duration(seconds) == printed


@pytest.mark.parametrize("wrong", ["soon", "5", "5 s", "s", ""])
def test_what_is_no_duration_is_refused(wrong: str) -> None:
    """A string without a unit or with anything else in it is a bad request."""
    with pytest.raises(BadRequest, match="invalid duration"):
        seconds_of(wrong, 9.0)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("registry.fly.io/web:1", ("registry.fly.io", "web", "1", "")),
        ("127.0.0.1:5000/a/b@sha256:ff", ("127.0.0.1:5000", "a/b", "", "sha256:ff")),
        ("localhost/web", ("localhost", "web", "latest", "")),
        ("prefecthq/prefect:3.8.8", ("docker-hub-mirror.fly.io", "prefecthq/prefect", "3.8.8", "")),
    ],
)
def test_image_references_are_split_as_docker_does(text: str, parts: tuple[str, str, str, str]) -> None:
    """Registry, repository, tag and digest are told apart, ports and missing registries included."""
    reference = parse_reference(text)
    assert (reference.registry, reference.repository, reference.tag, reference.digest) == parts


def test_a_process_image_changes_with_its_source(tmp_path: Path) -> None:
    """The digest covers names, contents and the executable bit, and leaves caches out."""
    (tmp_path / "a.py").write_text("1")
    first = tree_digest(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("x")
    assert tree_digest(tmp_path) == first
    (tmp_path / "a.py").chmod(0o755)
    second = tree_digest(tmp_path)
    (tmp_path / "a.py").write_text("2")
    assert len({first, second, tree_digest(tmp_path)}) == 3
    reference = parse_reference(process_image_reference("registry.example.com", "captionacc-prefect"))
    assert (reference.name, len(reference.digest)) == ("captionacc-prefect", 71)


def test_only_the_orchestrators_image_has_no_container() -> None:
    """The orchestrator is found before the server's wider pattern, runs as a process always, and others are unknown."""
    images = Images()
    assert images.process_only("registry.example.com/captionacc-orchestrator:1")
    assert not images.process_only("registry.example.com/captionacc-prefect:1")
    assert not images.known("registry.example.com/nginx:1")
    with pytest.raises(UnknownImageError, match="nginx"):
        images.command("registry.example.com/nginx:1", ())


def test_two_sandboxes_never_share_a_block_of_addresses() -> None:
    """A claimed block is not given out again, and is free for its former owner after a release."""
    first = LoopbackBlock()
    second = LoopbackBlock(first.prefix)
    try:
        assert second.prefix != first.prefix
        used = {first.allocate(set())}
        assert first.allocate(used) not in used
    finally:
        second.release()
        first.release()
    again = LoopbackBlock(first.prefix)
    again.release()
    assert again.prefix == first.prefix


def test_a_bucket_fills_with_the_clock_and_is_bounded_by_its_burst() -> None:
    """Three calls pass at once; an idle hour does not allow more than three again."""
    clock = Clock(manual=True)
    limits = RateLimits(clock, exact=True)
    assert [limits.allow("read", "web") for _ in range(4)] == [True, True, True, False]
    clock.advance(3600)
    assert [limits.allow("read", "web") for _ in range(4)] == [True, True, True, False]
    generous = RateLimits(clock, exact=False)
    assert sum(generous.allow("read", "web") for _ in range(40)) == 30


def test_log_pages_go_on_after_the_last_line() -> None:
    """A first page is the newest lines, the next ones follow it, and machines and apps are kept apart."""
    logs = LogBuffer(Clock(manual=True))
    for number in range(150):
        logs.add("web", "m1", "ewr", f"line {number}")
    logs.add("other", "m2", "ewr", "not yours")
    page = logs.page("web")
    assert (page[0].message, page[-1].message, len(page)) == ("line 50", "line 149", 100)
    logs.add("web", "m1", "ewr", "late")
    assert [line.message for line in logs.page("web", after=page[-1].number)] == ["late"]
    assert logs.page("web", instance="m9") == []


def test_an_app_survives_being_written_as_json() -> None:
    """What is read back from the state file equals what was written."""
    app = App(id="1", name="web", org="o", numeric_id=1, created_at=2.0)
    assert app_from_json(to_json(app)) == app
