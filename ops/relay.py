"""A relay to the database that runs in a machine of the server's app: one message there, one answer back."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from clients.fly import FlyClient
from clients.fly.errors import FlyError, FlyForbiddenError, FlyUnauthorizedError
from clients.fly.model import Machine
from clients.names import IMAGE_PYTHON
from clients.redaction import one_line, redacted
from ops.errors import OpsError

EXCHANGE = (IMAGE_PYTHON, "-m", "prefect_server.exchange")
"""What brings a message to the relay, on its standard input, and the answer back."""

_SECONDS = 40


class RelayError(OpsError):
    """The database cannot be reached through the machine; running it again may help, waiting does not."""


class ExchangeLostError(Exception):
    """No answer came, or only a part of one; the same may be asked again."""


@dataclass(frozen=True, kw_only=True)
class Relay:
    """A relay that runs; `numbers` are those of connections that were not made yet."""

    fly: FlyClient
    app: str
    machine: Machine
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def place(self) -> str:
        """The machine for people."""
        return f'machine {self.machine.id} of app "{self.app}"'

    def exchange(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Hand one message to the relay and return its answer.

        Raises:
            ExchangeLostError: there is no answer.
            RelayError: there will not be any: the relay has ended, or the token may not ask it.
        """
        try:
            done = self.fly.machines.run(self.app, self.machine, EXCHANGE, stdin=json.dumps(message), seconds=_SECONDS)
        except (FlyUnauthorizedError, FlyForbiddenError) as error:
            raise RelayError(
                f"could not use {self.place} as a relay to the database: {error.said} (HTTP {error.status}). Use a "
                f'FLY_API_TOKEN that may run commands in it, for example of "fly tokens create deploy -a {self.app}".'
            ) from error
        except FlyError as error:
            self._require_running()
            raise ExchangeLostError(error.said) from error
        try:
            answer = json.loads(done.stdout)
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or "unreadable" in answer:
            self._require_running()
            said = answer["unreadable"] if isinstance(answer, dict) else done.stderr
            words = one_line(redacted(str(said)))[-200:]
            size = len(done.stdout)
            raise ExchangeLostError(f"exit code {done.exit_code} and {size} characters of an answer; {words}")
        return answer

    def _require_running(self) -> None:
        """Refuse to go on with a machine that has ended."""
        seen = None
        with suppress(FlyError):
            seen = self.fly.machines.get(self.app, self.machine.id)
        ended = seen.last_exit() if seen else None
        if ended or (seen and seen.destroyed):
            code = f" with exit code {ended.exit_code}" if ended else ""
            raise RelayError(
                f"could not go on through {self.place}: the relay has ended{code}. Run it again; another run for this "
                "stack at the same time takes the machine away."
            )
