"""Requests that are made inside an app's network, by one of its own machines.

A private app cannot be reached from where this program runs. Its machines can reach it, and the Machines API runs a
command in one of them: the image's `prefect_server.probe`, which makes one request and prints the answer.
"""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import requests

from clients.fly.client import FlyClient
from clients.fly.errors import (
    FlyConflictError,
    FlyNotFoundError,
    FlyRefusedError,
    FlyTransientError,
    FlyUnreachableError,
)
from clients.fly.machines import Execution
from clients.fly.operations.unknown_machines import serves
from clients.names import IMAGE_PYTHON
from clients.silence import NoAnswerError

PROBE = (IMAGE_PYTHON, "-m", "prefect_server.probe")
_SECONDS = 30
_PASSING = (FlyConflictError, FlyNotFoundError, FlyRefusedError, FlyTransientError, FlyUnreachableError)


class InsideSession(requests.Session):
    """What requests are sent with, for an address that leads nowhere but inside the app's network.

    Args:
        fly: runs the command.
        app: its machines make the requests: the first that serves.
    """

    def __init__(self, fly: FlyClient, app: str) -> None:
        super().__init__()
        self._fly, self._app = fly, app

    def request(self, method: str | bytes, url: str | bytes, **given: Any) -> requests.Response:  # type: ignore[override]
        """Make one request.

        Raises:
            NoAnswerError: no machine serves, it cannot make requests, or the address did not answer it.
            FlyError: the token may not do this.
        """
        parts = {key: given.get(key) for key in ("params", "json", "headers", "auth")}
        prepared = requests.Request(str(method), str(url), **parts).prepare()
        body = prepared.body
        asked = {
            "method": prepared.method,
            "url": prepared.url,
            "headers": dict(prepared.headers),
            "body": body.decode() if isinstance(body, bytes) else body,
            "timeout": _SECONDS / 2,
        }
        return _response(str(url), self._ask(json.dumps(asked)))

    def _ask(self, text: str) -> dict[str, Any]:
        try:
            machine = next((each for each in self._fly.machines.list(self._app) if serves(each)), None)
            if machine is None:
                raise NoAnswerError(f'no machine of app "{self._app}" runs, and only they reach it', maybe_sent=False)
            done = self._fly.machines.run(self._app, machine, PROBE, stdin=text, seconds=_SECONDS)
        except _PASSING as error:
            reason = f"the request could not be made inside its network: {error.said}"
            raise NoAnswerError(reason, maybe_sent=True) from error
        return _answer(done, machine.id)


def _answer(done: Execution, machine: str) -> dict[str, Any]:
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = None
    if done.exit_code or not isinstance(answer, dict) or not answer.keys() & {"status", "error"}:
        # Its standard error is left out: a traceback could hold the request, and with it a key.
        why = f"machine {machine} cannot make requests (exit code {done.exit_code}): its image has no probe"
        raise NoAnswerError(why, maybe_sent=False)
    if "error" in answer:
        raise NoAnswerError(f"machine {machine} gets no answer: {answer['error']}", maybe_sent=True)
    return answer


def _response(url: str, answer: dict[str, Any]) -> requests.Response:
    response = requests.Response()
    response.status_code, response.url = int(answer["status"]), url
    response.headers.update(answer["headers"])
    response.raw = BytesIO(str(answer["body"]).encode())
    return response
