from __future__ import annotations

import pytest
import requests

from clients.better_stack import BetterStackClient, BetterStackError
from clients.endpoints import World
from clients.fly import FlyClient, FlyError
from clients.fly.errors import DIALECT, FlyUnreachableError
from clients.github import GitHubClient, GitHubError
from clients.names import BETTER_STACK_TOKEN, FLY_TOKEN, GITHUB_TOKEN
from clients.transport import Api, Call, RetryPolicy, Transport, no_progress
from clients.wire import Wire
from tests.support.scripted_http import ScriptedSession, answer, refused

CALL = Call(method="GET", path="/thing")


def wire(*script: requests.Response | Exception) -> Wire:
    transport = Transport(
        Api(base_url="http://127.0.0.1:1", title="a test"),
        policy=RetryPolicy(attempts=1),
        progress=no_progress,
        session=ScriptedSession(*script),
    )
    return Wire(transport, DIALECT)


def test_no_answer_is_an_error_of_the_api_that_says_whether_it_may_have_arrived() -> None:
    """Callers catch one tree, and can tell a refused connection from a lost answer."""
    for failure, maybe_sent in ((refused(), False), (requests.ReadTimeout(), True)):
        with pytest.raises(FlyUnreachableError, match=r"^could not read it: ") as caught:
            wire(failure).send("read it", CALL)
        assert caught.value.maybe_sent is maybe_sent
        assert caught.value.status is None


def test_a_tolerated_status_is_a_reply() -> None:
    """What a caller wants to look at itself is not raised."""
    assert wire(answer(404)).send("read it", CALL, tolerate=(404,)).status == 404
    with pytest.raises(FlyError, match="HTTP 403"):
        wire(answer(403)).send("read it", CALL, tolerate=(404,))


@pytest.mark.parametrize(
    ("client", "variable", "error"),
    [
        (FlyClient, FLY_TOKEN, FlyError),
        (GitHubClient, GITHUB_TOKEN, GitHubError),
        (BetterStackClient, BETTER_STACK_TOKEN, BetterStackError),
    ],
)
def test_a_missing_token_is_one_sentence_for_every_api(
    client: type[FlyClient | GitHubClient | BetterStackClient], variable: str, error: type[Exception]
) -> None:
    """It names the variable and what to set it to."""
    with pytest.raises(error, match=rf"^could not use the .* API: {variable} is not set\. Set {variable} to "):
        client.from_environment(World.REAL, {variable: " "})
