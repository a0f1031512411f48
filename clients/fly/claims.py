"""Making an app ours, and giving it up: what may be created, adopted and deleted."""

from __future__ import annotations

from clients.fly.apps import App, taken
from clients.fly.client import FlyClient
from clients.fly.deployment import destroy
from clients.fly.errors import (
    FlyForbiddenError,
    FlyForeignError,
    FlyNameTakenError,
    FlyTransientError,
    FlyUnreachableError,
)

_TRIES = 3
# An alias for everybody's own organization, which the API may answer with a slug of its own.
_PERSONAL = "personal"


def claim(client: FlyClient, name: str, *, org: str, owner: str, adopt: bool) -> App:
    """Return the app, made now or found: ours and without machines of others, or with them when `adopt` says so.

    Raises:
        FlyNameTakenError: it belongs to an organization that the token does not reach.
        FlyForbiddenError: it does not exist, and the token may not make it.
        FlyForeignError: it is in another organization of ours, or holds machines that `owner` did not make.
    """
    app = _find(client, name)
    made = app is None and _create(client, name, org)
    app = app or client.apps.wait_ready(name)
    if not made:
        _may_adopt(client, app, org, owner, adopt=adopt)
    return app


def _create(client: FlyClient, name: str, org: str) -> bool:
    """Create the app; when an answer is lost, look for it before trying again.

    Returns:
        whether it was made here; else it exists and may be somebody's.
    """
    _may_create(client, name, org)
    for attempt in range(1, _TRIES + 1):
        try:
            client.apps.create(name, org)
        except (FlyNameTakenError, FlyTransientError, FlyUnreachableError) as error:
            # "Taken" on a second attempt is the first one's success, not known everywhere yet.
            ours = attempt > 1 and isinstance(error, FlyNameTakenError)
            if ours or _find(client, name):
                return False
            if attempt == _TRIES or isinstance(error, FlyNameTakenError):
                raise
            client.progress(f'app "{name}" was not created ({error.said}); trying again')
        else:
            return True
    raise AssertionError


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
        raise taken(name, error) from None


def _may_adopt(client: FlyClient, app: App, org: str, owner: str, *, adopt: bool) -> None:
    doing = f'create app "{app.name}"'
    if org not in {app.org, _PERSONAL}:
        raise FlyForeignError(
            doing,
            f'the name is taken by your organization "{app.org}"',
            advice=f'Choose another name (fly.app), or set fly.org to "{app.org}".',
        )
    if adopt:
        return
    foreign = [machine.id for machine in client.machines.list(app.name) if machine.owner != owner]
    if foreign:
        raise FlyForeignError(
            doing,
            f"it exists and holds machines that this stack did not make ({', '.join(foreign)})",
            advice="Set fly.adoptExisting: true to take it over, or choose another name (fly.app).",
        )


def give_up(client: FlyClient, app: str, *, owner: str) -> None:
    """Delete the app and the machines in it that `owner` made.

    Raises:
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
