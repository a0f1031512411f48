"""Making an app ours, and giving it up: what may be created, adopted and deleted."""

from __future__ import annotations

from collections.abc import Iterable

from clients.errors import ApiError
from clients.fly.apps import App, name_taken
from clients.fly.client import FlyClient
from clients.fly.errors import (
    FlyForbiddenError,
    FlyForeignError,
    FlyNameTakenError,
    FlyNotFoundError,
    FlyTransientError,
    FlyUnreachableError,
)
from clients.fly.operations.retiring import destroy
from clients.fly.operations.takeover import require_adoptable
from clients.loops import create_once

# An alias for everybody's own organization, which the API may answer with a slug of its own.
_PERSONAL = "personal"


def claim_app(client: FlyClient, name: str, *, org: str, owner: str, adopt: bool, others: Iterable[str] = ()) -> App:
    """Create the app or take the one that exists, and return it. It may hold machines of others only with `adopt`.

    Args:
        client: Fly.
        name: the app's name.
        org: the organization it is to be in.
        owner: the stack's mark.
        adopt: take it with machines that others made.
        others: apps that exist already and that the token must reach as well; looked at before anything is made.

    Raises:
        FlyNotFoundError: one of `others` is not there, or none that this token may see.
        FlyNameTakenError: it belongs to an organization that the token does not reach.
        FlyForbiddenError: it does not exist, and the token may not make it.
        FlyForeignError: it is in another organization of ours, or holds machines that `owner` did not make.
    """
    app = _find(client, name)
    if app is None:
        _may_create(client, name, org)
    _reach(client, name, others)
    made = app is None and _create(client, name, org)
    app = app or client.apps.wait_ready(name)
    if not made:
        _may_adopt(client, app, org, owner, adopt=adopt)
    return app


def _reach(client: FlyClient, name: str, others: Iterable[str]) -> None:
    """Say before anything is made that a misspelled app, or one of somebody else, would be found out at the end."""
    for other in others:
        try:
            client.apps.get(other)
        except (FlyNotFoundError, FlyForbiddenError) as error:
            covered = " and ".join(map(str, client.tokens.current())) or "nothing"
            raise type(error)(
                f'create app "{name}"',
                f'the stack changes app "{other}" as well, which the API does not show: FLY_API_TOKEN covers {covered}',
                status=error.status,
                request_id=error.request_id,
                advice="Correct its name (orchestrator.app), or use a token that reaches it too: several are joined "
                "by commas.",
            ) from None


def _create(client: FlyClient, name: str, org: str) -> bool:
    """Create the app; when an answer is lost, look for it before trying again.

    Returns:
        whether it was made here; else it exists and may be somebody's.
    """
    again = False

    def create() -> bool:
        try:
            client.apps.create(name, org)
        except FlyNameTakenError:
            # On a second attempt it is the first one's success, not known everywhere yet.
            if again:
                return False
            raise
        return True

    def retrying(error: ApiError) -> None:
        nonlocal again
        again = True
        client.progress(f'app "{name}" was not created ({error.said}); trying again')

    return create_once(
        create,
        lambda: False if _find(client, name) else None,
        unclear=(FlyNameTakenError, FlyTransientError, FlyUnreachableError),
        final=(FlyNameTakenError,),
        retrying=retrying,
        timing=client.timing,
    )


def _may_create(client: FlyClient, name: str, org: str) -> None:
    """Say before anything is made that the token cannot make it."""
    covered = client.tokens.current()
    if org == _PERSONAL or any(part.org == org and not part.apps for part in covered):
        return
    raise FlyForbiddenError(
        f'create app "{name}"',
        f'FLY_API_TOKEN covers {" and ".join(map(str, covered)) or "nothing"}, and not organization "{org}" as a whole',
        advice=f'Use an organization token ("fly tokens create org -o {org}"), or make the app by hand first.',
    )


def _find(client: FlyClient, name: str) -> App | None:
    try:
        return client.apps.find(name)
    except FlyForbiddenError as error:
        raise name_taken(name, error) from None


def _may_adopt(client: FlyClient, app: App, org: str, owner: str, *, adopt: bool) -> None:
    doing = f'create app "{app.name}"'
    if org not in {app.org, _PERSONAL}:
        raise FlyForeignError(
            doing,
            f'the name is taken by your organization "{app.org}"',
            advice=f'Choose another name (fly.app), or set fly.org to "{app.org}".',
        )
    machines = client.machines.list(app.name)
    if adopt:
        require_adoptable(app.name, machines)
        return
    foreign = [machine.id for machine in machines if machine.owner != owner]
    if foreign:
        raise FlyForeignError(
            doing,
            f"it exists and holds machines that this stack did not make ({', '.join(foreign)})",
            advice="Set fly.adoptExisting: true to take it over, or choose another name (fly.app).",
        )


def delete_app(client: FlyClient, app: str, *, owner: str) -> None:
    """Delete the app and the machines in it that `owner` made, and return when it is gone.

    Fly would delete machines of somebody else along with it, so they are looked for first.

    Raises:
        FlyTimedOutError: Fly accepted it and did not do it in time.
        FlyForeignError: it holds machines of somebody else; nothing was deleted.
        FlyNotFoundError: it is not there; whether that means gone, the caller has to prove.
    """
    machines = client.machines.list(app)
    foreign = [machine.id for machine in machines if machine.owner != owner]
    if foreign:
        raise FlyForeignError(
            f'delete app "{app}"',
            f"it holds machines that this stack did not make ({', '.join(foreign)})",
            advice="Remove them (fly machine destroy) and run pulumi destroy again.",
        )
    for machine in machines:
        destroy(client, app, machine)
    client.apps.delete(app)
    client.apps.wait_gone(app)
