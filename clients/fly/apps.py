"""Fly apps (`/apps`)."""

from __future__ import annotations

from dataclasses import dataclass

from clients.fly.errors import (
    FlyConflictError,
    FlyForbiddenError,
    FlyNameTakenError,
    FlyNotFoundError,
    FlyRefusedError,
    FlyTimedOutError,
    FlyUnauthorizedError,
)
from clients.fly.wire import Wire, path
from clients.loops import until
from clients.shapes import identity, listed, record, whole, whole_list, whole_object
from clients.transport import Call

READY_WITHIN = 60.0
"""Seconds in which a new app may still answer 404 or 401 (flyctl waits as long)."""

GONE_WITHIN = 120.0
"""Seconds in which a deleted app may still be there."""


@dataclass(frozen=True, kw_only=True)
class App:
    """An app. `status` is pending, deployed or suspended."""

    id: str
    name: str
    org: str
    status: str
    machine_count: int
    volume_count: int

    @classmethod
    def from_wire(cls, body: object) -> App:
        """Read a reply; unknown fields are ignored.

        Raises:
            ShapeError: it is no app.
        """
        entry = whole_object(body)
        return cls(
            id=str(entry.get("id") or ""),
            name=identity(entry, "name"),
            org=str(record(entry.get("organization")).get("slug") or ""),
            status=str(entry.get("status") or ""),
            machine_count=whole(entry.get("machine_count")),
            volume_count=whole(entry.get("volume_count")),
        )


class Apps:
    """Get, create and delete apps."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._orgs: dict[str, str] = {}

    def get(self, name: str) -> App:
        """Return the app.

        Raises:
            FlyNotFoundError: no such app, or none that this token may see.
            FlyForbiddenError: it exists in an organization that the token does not reach.
        """
        app = self._wire.get(f'read app "{name}"', path("apps", name), App.from_wire, pace=f"get-app:{name}")
        self._orgs[name] = app.org
        return app

    def list(self, org: str) -> tuple[App, ...]:
        """Return the organization's apps that the token sees, by name.

        Raises:
            FlyForbiddenError: the token does not reach the organization.
        """
        call = Call(method="GET", path=path("apps"), params={"org_slug": org}, pace="list-apps")
        apps = self._wire.read(f'list the apps of organization "{org}"', call, _apps)
        return tuple(sorted(apps, key=lambda app: app.name))

    def org_of(self, name: str) -> str:
        """Return the slug of the app's organization; asked once, since apps do not move.

        Raises:
            FlyNotFoundError: no such app, or none that this token may see.
        """
        return self._orgs.get(name) or self.get(name).org

    def find(self, name: str) -> App | None:
        """Return the app, or None when the API answers 404. Only creating may read that as "free"."""
        try:
            return self.get(name)
        except FlyNotFoundError:
            return None

    def create(self, name: str, org: str) -> None:
        """Create the app; it may not answer yet (`wait_ready`).

        Raises:
            FlyNameTakenError: the name is in use; names are global.
        """
        doing = f'create app "{name}"'
        body = {"name": name, "org_slug": org}
        try:
            self._wire.send(doing, Call(method="POST", path=path("apps"), json=body, pace="create-app"))
        except FlyConflictError as error:
            # The API has no other conflict for a new app, and some editions say it in other words than "taken".
            raise FlyNameTakenError(doing, error.said, status=error.status, request_id=error.request_id) from None
        except FlyNameTakenError:
            raise
        except FlyRefusedError as error:
            if "taken" in error.said.lower():
                raise FlyNameTakenError(doing, error.said, status=error.status, request_id=error.request_id) from None
            raise

    def wait_ready(self, name: str, within: float = READY_WITHIN) -> App:
        """Return the app once it answers, its machine list included.

        Raises:
            FlyNotFoundError: not within `within` seconds.
        """
        for left in until(within, timing=self._wire.transport.timing, every=1.0):
            try:
                app = self.get(name)
                doing = f'list the machines of app "{name}"'
                self._wire.get(doing, path("apps", name, "machines"), whole_list, pace=f"list:{name}")
            except (FlyNotFoundError, FlyUnauthorizedError):
                # Both are what a new app answers until it is known everywhere.
                if not left:
                    raise
                self._wire.transport.progress(f'app "{name}" was created; waiting until the API knows it everywhere')
            else:
                return app
        raise AssertionError

    def delete(self, name: str) -> None:
        """Begin to delete the app with everything in it; it may be there for a while longer (`wait_gone`).

        Raises:
            FlyNotFoundError: it is not there; whether that means gone, the caller has to prove.
        """
        self._wire.send(
            f'delete app "{name}"',
            Call(method="DELETE", path=path("apps", name), idempotent=True, pace="delete-app"),
        )

    def wait_gone(self, name: str, within: float = GONE_WITHIN) -> None:
        """Return once a deleted app is no longer there, so that nobody makes anything in it any more.

        Raises:
            FlyTimedOutError: it still is after `within` seconds.
        """
        for _ in until(within, timing=self._wire.transport.timing, every=1.0):
            if self.find(name) is None:
                return
            self._wire.transport.progress(f'app "{name}" is being deleted; waiting until it is gone')
        raise FlyTimedOutError(
            f'delete app "{name}"',
            f"Fly accepted it, and the app is still there after {within:.0f} s",
            advice='Run the command again; if it goes on, delete it with "fly apps destroy".',
        )


def _apps(body: object) -> list[App]:
    return [App.from_wire(entry) for entry in listed(body, "apps")]


def name_taken(name: str, error: FlyForbiddenError) -> FlyNameTakenError:
    """Return the sentence for an app that exists in somebody else's organization."""
    return FlyNameTakenError(
        f'create app "{name}"',
        "the name is taken by an organization that FLY_API_TOKEN does not reach",
        status=error.status,
        request_id=error.request_id,
    )
