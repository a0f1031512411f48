"""What the providers of objects on a Prefect server do when it refuses them or does not answer."""

from __future__ import annotations

from typing import Any

import pytest

from clients.errors import UnauthorizedError
from clients.prefect_api.errors import PrefectApiTransientError
from providers.lifecycle import Provider
from providers.prefect_object import PrefectObjectProvider
from tests.support.fake_prefect import JSON, FakePrefect
from tests.support.prefect_objects import KINDS, ROUTES, made
from tests.support.scripted_http import answer, refused


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", [refused(), answer(503, {"detail": "no"}, JSON), answer(404)])
def test_a_server_that_does_not_answer_stops_neither_refresh_nor_destroy(
    server: FakePrefect,
    kind: type[PrefectObjectProvider],
    fault: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Refused, in trouble, or a proxy that knows no such host: the state stays, the object too, and both are said."""
    one = made(kind)
    outputs = dict(one.outputs)
    server.fault = fault
    Provider.a_program_runs.clear()  # a destroy has a process of its own, in which no inputs are checked
    assert one.refresh()
    assert one.outputs == outputs
    one.delete()
    told = capsys.readouterr().err
    assert "was not looked at" in told
    assert "stays in the server's database" in told
    assert "c4nary" not in told
    assert len(server.objects[ROUTES[kind]]) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", [refused(), answer(500, {"detail": "no"}, JSON), answer(503), answer(404)])
def test_what_left_the_program_goes_only_from_a_server_that_answers(
    server: FakePrefect, kind: type[PrefectObjectProvider], fault: Any
) -> None:
    """In an `up` nobody would remember what was left on the server, and an automation would go on: it fails."""
    one = made(kind)
    server.fault = fault
    with pytest.raises(PrefectApiTransientError, match=r"python -m ops status"):
        one.delete()
    server.fault = None
    one.delete()
    assert not server.objects[ROUTES[kind]]


@pytest.mark.parametrize("kind", KINDS)
def test_a_refused_key_stops_both(server: FakePrefect, kind: type[PrefectObjectProvider]) -> None:
    """It proves nothing, so nothing is taken for gone."""
    one = made(kind)
    server.fault = answer(401, {"detail": "Unauthorized"}, JSON)
    with pytest.raises(UnauthorizedError):
        one.refresh()
    with pytest.raises(UnauthorizedError):
        one.delete()
