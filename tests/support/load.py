"""Requests that come all the time, and what they were answered."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping

import requests

from tests.support.waiting import PATIENCE

RATE = 20.0
"""Requests a second."""


class Load:
    """Sends requests to a URL, evenly spaced, each in a thread of its own, until told to stop.

    Args:
        url: what is asked.
        headers: of each request.
        read: what counts as the answer.

    Attributes:
        answers: how often what was answered; what had no answer by the kind of failure.
        bad: when those were sent that were not answered with 200, seconds of the monotonic clock.
        slowest: seconds from a request to its answer.
    """

    def __init__(self, url: str, *, headers: Mapping[str, str], read: Callable[[requests.Response], str]) -> None:
        self._url, self._headers, self._read = url, headers, read
        self._over = threading.Event()
        self._sent: list[threading.Thread] = []
        self._feeder = threading.Thread(target=self._feed)
        self.answers: Counter[str] = Counter()
        self.bad: list[float] = []
        self.slowest = 0.0

    def __enter__(self) -> Load:
        self._feeder.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in [self._feeder, *self._sent]:
            thread.join(PATIENCE)

    def _feed(self) -> None:
        due = time.monotonic()
        while not self._over.is_set():
            thread = threading.Thread(target=self._ask)
            thread.start()
            self._sent.append(thread)
            due += 1 / RATE
            self._over.wait(max(0.0, due - time.monotonic()))

    def _ask(self) -> None:
        began = time.monotonic()
        try:
            answer = requests.get(self._url, headers=self._headers, timeout=600)
            said, well = self._read(answer), answer.status_code == 200
        except requests.RequestException as error:
            said, well = type(error).__name__, False
        self.answers[said] += 1
        self.slowest = max(self.slowest, time.monotonic() - began)
        if not well:
            self.bad.append(began)
