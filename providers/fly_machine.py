"""fly:Machine — one machine of an app, with a stable name.

Owns the machine's whole config. Does not own its image, the app's secrets (it starts with a version of them) or the
addresses that lead to it. Name, region and app are fixed: another region is another logical resource with another
name, so that the new machine comes up before the old one goes. The resource's id is that name and not Fly's id of the
machine, because a blue/green update puts another machine in its place (docs/adr/0013).
"""

from __future__ import annotations

from collections.abc import Mapping
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

from clients.fly import FlyClient
from clients.fly.errors import FlyForeignError, FlyNotFoundError
from clients.fly.model import Machine as FlyMachine
from clients.fly.operations import deployment, takeover
from clients.fly.operations.ownership import prove_gone
from clients.fly.operations.succession import current, retire_all
from providers.fly_machine_state import (
    OUTPUTS,
    REPLACES,
    RESTARTS,
    UPDATES,
    config_changed,
    outputs,
    seen,
    wanted_of,
)
from providers.lifecycle import Props, Provider, adopting, changed, fly_client, require, unknown


class FlyMachineProvider(Provider):
    """Launches, updates and retires a machine."""

    serialize_as_secret_always = False

    def failures(self, _olds: Props, news: Props) -> list[CheckFailure]:
        """Refuse what is missing; a config needs at least an image."""
        failures = require(news, {"app": str, "name": str, "region": str, "owner": str, "endpoints": str})
        config = news.get("config")
        if not unknown(config) and not (isinstance(config, Mapping) and config.get("image")):
            failures.append(
                CheckFailure("config", f'could not use the config of machine "{news.get("name")}": no image')
            )
        return failures

    def diff(self, _id: str, olds: Props, news: Props) -> DiffResult:
        """Compare configs by meaning: spelling, order of keys and what the API fills in are no difference."""
        moved = changed(olds, news, REPLACES)
        replaced = [key for key in moved if not unknown(news.get(key))]
        other = bool(changed(olds, news, (*RESTARTS, *UPDATES)) or config_changed(olds, news) or olds.get("drifted"))
        return DiffResult(changes=bool(moved) or other, replaces=replaced, delete_before_replace=True)

    def create(self, props: Props) -> CreateResult:
        """Create the machine, or take the one that an earlier attempt left, and wait until its checks pass."""
        client = fly_client(props)
        org = client.apps.org_of(props["app"])
        machine = deployment.launch(client, wanted_of(props))
        if props.get("retire_unmarked"):
            takeover.retire_unmarked(client, props["app"])
        return CreateResult(props["name"], outputs(props, machine, org))

    def read(self, id_: str, props: Props) -> ReadResult:
        """Show the wanted config with the values that somebody else changed, and list what they are."""
        client = fly_client(props)
        machine = _read(client, props)
        if machine is None:
            return ReadResult(None, {})
        kept = seen(props, machine)
        inputs = {key: value for key, value in kept.items() if key not in OUTPUTS}
        return ReadResult(id_, kept, inputs)

    def update(self, _id: str, olds: Props, news: Props) -> UpdateResult:
        """Put a new machine in its place, or update in place; what does not get healthy is undone and this fails."""
        client = fly_client(news)
        restart = bool(changed(olds, news, RESTARTS))
        machine = _read(client, olds)
        if machine is None:
            raise FlyNotFoundError(
                f'update machine "{news["name"]}" of app "{news["app"]}"',
                "somebody removed it",
                advice="Run pulumi up --refresh, which makes a new one.",
            )
        machine = deployment.update(client, wanted_of(news), machine, restart=restart)
        return UpdateResult(outputs(news, machine, olds["org"]))

    def delete(self, _id: str, props: Props) -> None:
        """Drain, stop and destroy the machine; refuse when another stack took it over meanwhile."""
        client = fly_client(props)
        machine = _read(client, props)
        if machine is None:
            return
        if machine.owner not in {props["owner"], ""}:
            raise FlyForeignError(
                f'delete machine "{machine.name}" of app "{props["app"]}"',
                f"it belongs to another stack by now ({machine.owner})",
                advice="Remove it from this stack's state (pulumi state delete) and leave it to the other.",
            )
        try:
            retire_all(client, props["app"], machine)
        except FlyNotFoundError as missing:
            prove_gone(client, props.get("org", ""), props["app"], missing)


class Machine(Resource, module="fly", name="Machine"):
    """A machine.

    Outputs: `machine_id`; `instance_id` of our last write; `private_ip`; `image_digest`; `revision`, a string that
    changes whenever we start a new version; `drifted`, paths that somebody else changed.

    Args:
        resource_name: logical name; carries app, region and replica.
        app: the app's name.
        name: the machine's name, stable and unique in the app.
        region: three letters.
        config: whole machine config; our marks and what flyctl needs are added.
        owner: mark of this stack.
        endpoints: real or sandbox.
        min_secrets_version: version of the app's secrets to start with, 0 for any; another one alone changes nothing.
        secrets_fingerprint: starts a new version when it changes.
        healthy_timeout: seconds for starting and passing the checks.
        strategy: how it is updated: bluegreen (a new machine beside it) or rolling (in place, with a gap).
        url: public address of the app, at which a new machine has to answer before the old one goes; empty: not asked.
        adopt: take over a machine of this region that no stack made.
        retire_unmarked: once this one is healthy, remove the machines of the app that no stack made.
        opts: as usual.
    """

    app: pulumi.Output[str]
    name: pulumi.Output[str]
    region: pulumi.Output[str]
    machine_id: pulumi.Output[str]
    instance_id: pulumi.Output[str]
    private_ip: pulumi.Output[str]
    image_digest: pulumi.Output[str]
    revision: pulumi.Output[str]
    drifted: pulumi.Output[list[str]]

    def __init__(  # noqa: PLR0913  # a machine's inputs, all by keyword
        self,
        resource_name: str,
        *,
        app: pulumi.Input[str],
        name: pulumi.Input[str],
        region: pulumi.Input[str],
        config: pulumi.Input[Mapping[str, Any]],
        owner: pulumi.Input[str],
        endpoints: pulumi.Input[str],
        min_secrets_version: pulumi.Input[int] = 0,
        secrets_fingerprint: pulumi.Input[str] = "",
        healthy_timeout: pulumi.Input[float] = 180,
        strategy: pulumi.Input[str] = "rolling",
        url: pulumi.Input[str] = "",
        adopt: pulumi.Input[bool] = False,
        retire_unmarked: pulumi.Input[bool] = False,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        props: dict[str, Any] = {
            "app": app,
            "name": name,
            "region": region,
            "config": config,
            "owner": owner,
            "endpoints": endpoints,
            "min_secrets_version": min_secrets_version,
            "secrets_fingerprint": secrets_fingerprint,
            "healthy_timeout": healthy_timeout,
            "strategy": strategy,
            "url": url,
            "adopt": adopt,
            "retire_unmarked": retire_unmarked,
        }
        super().__init__(FlyMachineProvider(), resource_name, props | dict.fromkeys(OUTPUTS), adopting(opts))


def _read(client: FlyClient, props: Props) -> FlyMachine | None:
    """Return the machine, None when it is proved gone.

    Where it was replaced and the run was killed before the state could be written, it is its successor.
    """
    try:
        return current(client, props["app"], props["machine_id"], owner=props["owner"], label=props["name"])
    except FlyNotFoundError as missing:
        prove_gone(client, props.get("org", ""), props["app"], missing)
        return None
