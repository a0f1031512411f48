"""fly:App — an app in our organization.

Owns the app and, on delete, the machines in it that this stack made. Does not own its secrets, addresses and machines
one by one: they are resources of their own. Machines that the stack does not know are drift of the app. Never moves to
another organization.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi
from pulumi.dynamic import (
    CheckFailure,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    UpdateResult,
)

from clients.fly.apps import App as FlyApp
from clients.fly.errors import FlyForeignError, FlyNotFoundError
from clients.fly.model import Machine
from clients.fly.operations import adoption
from clients.fly.operations.ownership import prove_gone
from clients.fly.operations.unknown_machines import removal, unknown_machines
from providers.lifecycle import Props, Provider, adopting, difference, fly_client, plain, require, unknown

REPLACES = ("name", "endpoints")
# `adopt_existing` is a permission and no state: a change of it alone must not show as a change of the app, whose
# outputs a preview would then not know.
UPDATES = ("owner",)


class FlyAppProvider(Provider):
    """Creates, adopts and deletes an app."""

    serialize_as_secret_always = False

    def failures(self, olds: Props, news: Props) -> list[CheckFailure]:
        """Refuse what is missing, and another organization than before."""
        failures = require(news, {"org": str, "name": str, "owner": str, "endpoints": str})
        before, after = olds.get("org"), news.get("org")
        if before and not unknown(before) and not unknown(after) and before != after:
            said = f'could not move app "{news.get("name")}" from organization "{before}" to "{after}": '
            failures.append(CheckFailure("org", f"{said}Fly cannot. Destroy the stack first, or use another stack."))
        return failures

    def diff(self, _id: str, olds: Props, news: Props) -> DiffResult:
        """Another name is another app."""
        return difference(olds, news, updates=UPDATES, replaces=REPLACES)

    def create(self, props: Props) -> CreateResult:
        """Create the app, or adopt the one that exists, and wait until the API knows it."""
        # `others` matters here alone: it is neither compared nor kept in the outputs.
        client, name = fly_client(props), props["name"]
        adopt = bool(props.get("adopt_existing"))
        others = props.get("others", ())
        app = adoption.claim_app(client, name, org=props["org"], owner=props["owner"], adopt=adopt, others=others)
        return CreateResult(name, _outputs(props, app))

    def read(self, id_: str, props: Props) -> ReadResult:
        """Read the app; a 404 counts as gone only for a token of the recorded organization."""
        client = fly_client(props)
        try:
            app = client.apps.get(id_)
        except FlyNotFoundError as missing:
            prove_gone(client, props["org_slug"], id_, missing, props.get("app_id") or "")
            return ReadResult(None, {})
        unknown_ones = unknown_machines(client.machines.list(id_), props["owner"]) if app.machine_count else ()
        return ReadResult(id_, _outputs(props, app, unknown_ones))

    def update(self, id_: str, olds: Props, news: Props) -> UpdateResult:
        """Take over new settings; refuse while machines that the stack does not know run there.

        A suspended app comes back with its machines, which are resources of their own.
        """
        _refuse_unknown_machines(id_, olds, news)
        kept = {key: olds[key] for key in ("app_id", "org_slug", "hostname") if key in olds}
        return UpdateResult(_inputs(news) | kept | {"drifted": []})

    def delete(self, id_: str, props: Props) -> None:
        """Remove our machines and the app; refuse while it holds machines of somebody else."""
        client = fly_client(props)
        try:
            adoption.delete_app(client, id_, owner=props["owner"])
        except FlyNotFoundError as missing:
            prove_gone(client, props["org_slug"], id_, missing, props.get("app_id") or "")


class App(Resource, module="fly", name="App"):
    """An app.

    Outputs: `app_id`; `org_slug`, the organization as the API names it; `hostname`; `drifted`.

    Args:
        resource_name: logical name; carries the app's identity.
        org: organization slug. Changing it is refused.
        name: the app's name, global on Fly.
        owner: mark of this stack (`clients.names.owner_of`).
        endpoints: real or sandbox.
        adopt_existing: take over an app of ours that has machines already; an empty one is taken anyway.
        others: existing apps that the stack changes as well; creating fails at once when the token does not reach them.
        opts: as usual.
    """

    org: pulumi.Output[str]
    name: pulumi.Output[str]
    app_id: pulumi.Output[str]
    hostname: pulumi.Output[str]
    drifted: pulumi.Output[list[str]]

    def __init__(
        self,
        resource_name: str,
        *,
        org: pulumi.Input[str],
        name: pulumi.Input[str],
        owner: pulumi.Input[str],
        endpoints: pulumi.Input[str],
        adopt_existing: pulumi.Input[bool] = False,
        others: pulumi.Input[list[str]] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        props = {
            "org": org,
            "name": name,
            "owner": owner,
            "endpoints": endpoints,
            "adopt_existing": adopt_existing,
            "others": others or [],
            "app_id": None,
            "org_slug": None,
            "hostname": None,
            "drifted": None,
        }
        super().__init__(FlyAppProvider(), resource_name, props, adopting(opts))


def _inputs(props: Props) -> dict[str, Any]:
    return {key: value for key, value in plain(props).items() if key in {*REPLACES, *UPDATES, "org"}}


def _refuse_unknown_machines(app: str, olds: Props, news: Props) -> None:
    """Fail while there are machines that nobody is about to take over: they may serve with keys that were revoked."""
    found = unknown_machines(fly_client(news).machines.list(app), olds["owner"])
    adoptable = bool(news.get("adopt_existing"))
    refused = [machine for machine in found if machine.owner or not adoptable]
    if refused:
        names = ", ".join(f"{machine.id} ({machine.name})" for machine in refused)
        raise FlyForeignError(
            f'update app "{app}"',
            f"machines run there that this stack does not know: {names}; their keys are not those of the stack",
            advice=removal(app, refused),
        )


def _outputs(props: Props, app: FlyApp, unknown_ones: Sequence[Machine] = ()) -> dict[str, Any]:
    drifted = ["status: suspended"] if app.status == "suspended" and app.machine_count else []
    drifted += [f"machine {machine.id} ({machine.name}): unknown to this stack" for machine in unknown_ones]
    return _inputs(props) | {
        "app_id": app.id,
        "org_slug": app.org,
        "hostname": f"{app.name}.fly.dev",
        "drifted": drifted,
    }
