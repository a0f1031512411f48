"""What several parts of `status` need of the stack's world, each asked once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import TypeVar

from clients.fly import FlyClient
from clients.fly.errors import FlyError
from clients.fly.model import Machine
from clients.names import VERIFY_KEY
from clients.prefect import (
    Credential,
    PrefectClient,
    PrefectError,
    PrefectUnauthorizedError,
)
from clients.prefect_answers import KeyUse, ServerStatus
from ops.errors import OpsError
from ops.own_key import OwnKey
from ops.reaching import prefect_client
from ops.runtime import Runtime
from ops.status_stack import StatedStack
from ops.verify_server import credential_from

A = TypeVar("A")


@dataclass
class Seen:
    """What several parts need, asked once; what fails fails for each of them."""

    stack: StatedStack
    rt: Runtime

    @cached_property
    def fly(self) -> FlyClient:
        """Fly, with the token of the environment."""
        return FlyClient.from_environment(self.rt.world, self.rt.environ, progress=self.rt.progress.say)

    @cached_property
    def server(self) -> PrefectClient:
        """The server at its address."""
        return prefect_client(self.stack.server_url, self.stack.reach, self.stack.server_app, self.rt)

    @property
    def machines(self) -> tuple[Machine, ...]:
        """The server's machines.

        Raises:
            FlyError: they cannot be listed; Fly is not asked again for each part.
        """
        if isinstance(self._listed, FlyError):
            raise self._listed
        return self._listed

    @cached_property
    def _listed(self) -> tuple[Machine, ...] | FlyError:
        try:
            return self.fly.machines.list(self.stack.server_app)
        except FlyError as error:
            return error

    @cached_property
    def status(self) -> ServerStatus:
        """What one of the serving machines says of itself.

        Raises:
            OpsError: it cannot be asked.
        """
        return self._asked(self.server.status)

    @cached_property
    def own_key(self) -> OwnKey:
        """Whose key it is asked with.

        Raises:
            OpsError: it cannot be asked.
        """
        return OwnKey.of(self._asked(self.server.whoami))

    def key_use(self, machine: str) -> Mapping[str, KeyUse]:
        """What a machine saw of each key; an empty id asks any machine.

        Raises:
            OpsError: it cannot be asked.
        """
        return self._asked(lambda credential: self.server.key_use(credential, machine))

    @property
    def credential(self) -> Credential:
        """The key to ask the server with.

        Raises:
            OpsError: there is none, or it is malformed.
        """
        if not self.rt.environ.get(VERIFY_KEY):
            raise OpsError(f'could not ask the server: variable "{VERIFY_KEY}" is not set. {self._how}')
        return credential_from(self.rt)

    @property
    def _how(self) -> str:
        return f'export {VERIFY_KEY}="$(pulumi stack output --show-secrets uiLogin --stack {self.stack.name})"'

    def _asked(self, question: Callable[[Credential], A]) -> A:
        how, credential = self._how, self.credential
        try:
            return question(credential)
        except PrefectUnauthorizedError as refused:
            raise OpsError(f'could not ask the server: it refuses the key "{credential.name}". {how}') from refused
        except PrefectError as error:
            if error.status == HTTPStatus.FORBIDDEN:
                why = f'key "{credential.name}" may not ask this, it needs an admin\'s'
                raise OpsError(f"could not ask the server: {why}. {how}") from error
            raise OpsError(f"could not ask the server: {error.said}. Read its log.") from error
