"""What the providers of objects on a Prefect server share: the whole life, given what is particular to a kind.

The server's key is a secret input and stays, encrypted, in the outputs: a destroy has nothing else to go by, and the
stack itself makes the key (docs/adr). Address and key are how the object is reached, not what it is: a change of them
alone is an update that writes the object again.

A server that does not answer must not block the rollback. Then `read` leaves the state as it is, and `delete` in a
destroy lets the object be: it is kept in the database, which outlives the server, and is adopted when the stack comes
back. Both say so. In an `up` nobody would remember it, and an automation would go on: there `delete` fails.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from pulumi.dynamic import CheckFailure, CreateResult, DiffResult, ReadResult, UpdateResult

from clients.endpoints import World
from clients.loops import create_once
from clients.prefect_api.client import PrefectApi, shared
from clients.prefect_api.errors import (
    PrefectApiConflictError,
    PrefectApiForeignError,
    PrefectApiNotFoundError,
    PrefectApiTransientError,
)
from clients.prefect_api.objects import Found
from clients.timing import Timing
from clients.transport import print_progress
from providers.lifecycle import Props, Provider, changed, difference, plain, require

ACCESS = ("api_url", "credential")
# Of every kind; a kind adds its own settings.
COMMON = ("endpoints", "api_url", "credential", "owner", "name")
_REPLACES = ("endpoints", "name")


class PrefectObjectProvider(Provider):
    """Keeps one object on a Prefect server as stated.

    Attributes:
        what: the kind, for messages.
        settings: inputs of the kind that are compared, and changed in place.
        replaces: inputs whose change needs a new object.
    """

    serialize_as_secret_always = False
    what: ClassVar[str]
    settings: ClassVar[tuple[str, ...]]
    replaces: ClassVar[tuple[str, ...]] = _REPLACES

    @abstractmethod
    def find(self, api: PrefectApi, props: Props) -> Found | None:
        """Return the object of this name.

        Raises:
            PrefectApiForeignError: it is not ours.
        """

    @abstractmethod
    def get(self, api: PrefectApi, id_: str, props: Props) -> Found:
        """Return the object of this id."""

    @abstractmethod
    def make(self, api: PrefectApi, props: Props) -> Found:
        """Make it."""

    @abstractmethod
    def change(self, api: PrefectApi, id_: str, props: Props) -> None:
        """Bring it to what is stated."""

    @abstractmethod
    def remove(self, api: PrefectApi, id_: str, props: Props) -> None:
        """Remove it."""

    @abstractmethod
    def seen(self, found: Found, props: Props) -> dict[str, Any]:
        """Return our settings as the API describes them."""

    def outputs(self, props: Props, found: Found) -> dict[str, Any]:
        """Return all outputs after a write."""
        kept = {key: value for key, value in plain(props).items() if key in {*COMMON, *self.settings}}
        return {**kept, "object_id": str(found["id"])}

    def failures(self, _olds: Props, news: Props) -> list[CheckFailure]:
        """Refuse what is missing."""
        return require(news, dict.fromkeys(COMMON, str))

    def diff(self, _id: str, olds: Props, news: Props) -> DiffResult:
        """Compare with the last outputs."""
        return difference(olds, news, updates=(*self.settings, *ACCESS, "owner"), replaces=self.replaces)

    def create(self, props: Props) -> CreateResult:
        """Adopt our own object of this name, or make it; refuse somebody else's.

        Raises:
            PrefectApiError: it is not as stated.
        """
        api = _api(props)
        return CreateResult(str(props["name"]), self.outputs(props, self._ensure(api, props)))

    def read(self, id_: str, props: Props) -> ReadResult:
        """Compare with what the server has; an object that is not there is dropped.

        Raises:
            PrefectApiError: the server refuses the key.
        """
        try:
            found = self.get(_api(props), str(props["object_id"]), props)
        except PrefectApiNotFoundError:
            return ReadResult(None, {})
        except PrefectApiTransientError as silence:
            print_progress(f"{self._label(props)} was not looked at: {silence.said}")
            return ReadResult(id_, plain(props))
        # What the server no longer has, for example a limit, is no output any more.
        seen = {**plain(props), **self.seen(found, props)}
        return ReadResult(id_, {key: value for key, value in seen.items() if value is not None})

    def update(self, _id: str, olds: Props, news: Props) -> UpdateResult:
        """Bring the object to what is stated; one that is gone meanwhile is made again.

        Raises:
            PrefectApiError: it is not as stated.
        """
        api, object_id = _api(news), str(olds["object_id"])
        try:
            self.change(api, object_id, news)
        except PrefectApiNotFoundError:
            return UpdateResult(self.outputs(news, self._ensure(api, news)))
        return UpdateResult(self.outputs(news, {"id": object_id}))

    def delete(self, _id: str, props: Props) -> None:
        """Remove the object; one that is not there is done, and so is, in a destroy, a server that does not answer.

        Raises:
            PrefectApiError: the server refuses it, or does not answer while a program runs.
        """
        try:
            self.remove(_api(props), str(props["object_id"]), props)
        except PrefectApiNotFoundError:
            return
        except PrefectApiTransientError as silence:
            if self.a_program_runs.is_set():
                raise
            print_progress(
                f"{self._label(props)} stays in the server's database, because the server does not answer: "
                f"{silence.said}"
            )

    def _ensure(self, api: PrefectApi, props: Props) -> Found:
        found = self.find(api, props)
        if found is None:
            return create_once(
                lambda: self.make(api, props),
                lambda: self.find(api, props),
                unclear=(PrefectApiTransientError, PrefectApiConflictError),
                final=(PrefectApiConflictError,),
                retrying=lambda error: print_progress(str(error)),
                timing=Timing(),
            )
        self.change(api, str(found["id"]), props)
        return found

    def _label(self, props: Props) -> str:
        return f'{self.what} "{props["name"]}"'

    def foreign(self, props: Props, why: str) -> PrefectApiForeignError:
        """Return the error for an object that somebody else made."""
        return PrefectApiForeignError(
            f"create {self._label(props)}",
            why,
            advice="Rename or remove it on the server, or choose another name in the stack.",
        )


def differs(props: Props, seen: Mapping[str, Any], keys: tuple[str, ...]) -> bool:
    """Tell whether an object is another than the one stated."""
    return bool(changed(seen, props, keys))


def _api(props: Props) -> PrefectApi:
    return shared(str(props["api_url"]), str(props["credential"]), World(props["endpoints"]))
