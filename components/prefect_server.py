"""A self-hosted Prefect server on Fly: app, addresses, image, secrets, migration, machines and the proof that it works.

Owns all of these. Does not own the database: schema and history stay when the server goes (docs/rollback.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import pulumi

from clients.endpoints import World
from clients.names import (
    API_KEYS_SECRET,
    DATABASE_CA_SECRET,
    DATABASE_SECRET,
    KEYS_GENERATION_SECRET,
    KEYS_SIGNING_SECRET,
    REDIS_SECRET,
    RETIRED_NAMES,
    VERIFY,
    VERIFY_KEY,
)
from components.api_keys import ApiKeys
from components.children import child_options
from components.docker_image import DockerImage, DockerImageArgs
from components.fly_app import FlyApp, FlyAppArgs
from components.fly_machines import FlyMachines, FlyMachinesArgs
from components.fly_secrets import FlySecrets, FlySecretsArgs
from components.machine_config import MachineSettings, database_environment, snapshot_environment
from components.ops_command import OpsEvent, ops_command
from components.type_tokens import PREFECT_SERVER
from providers.lifecycle import fingerprint
from providers.published_keys import PublishedKeys
from settings.fly import FlySettings
from settings.groups import ImageSettings, TimeoutSettings

_MACHINE_START_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class ServerSecrets:
    """Secrets of the stack that the server needs; empty where a stack has none."""

    database_url: str = field(repr=False)
    database_ca: str = field(repr=False)
    redis_url: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class PrefectServerArgs:
    """Inputs of PrefectServer.

    Attributes:
        world: the world the server lives in.
        owner: the stack's mark.
        fly: organisation, app and address.
        image: what the stack says of the image.
        machines: what the machines' configuration is made of.
        api_regions: region of each API machine, in order.
        timeouts: how long migration and start may take.
        strategy: how a machine is updated: bluegreen or rolling.
        secrets: database and Redis.
        keys: the API keys that the server accepts; must hold one for the consumer `verify`.
        other_apps: existing apps that the stack changes as well, looked at before the server's is made.
    """

    world: World
    owner: str
    fly: FlySettings
    image: ImageSettings
    machines: MachineSettings
    api_regions: Sequence[str]
    timeouts: TimeoutSettings
    strategy: Literal["bluegreen", "rolling"]
    secrets: ServerSecrets
    keys: ApiKeys
    other_apps: Sequence[str] = ()


class PrefectServer(pulumi.ComponentResource):
    """The server. Whatever needs it waits for its verification, the last resource of the chain."""

    image: pulumi.Output[str]
    machine_ids: pulumi.Output[dict[str, str]]
    app: FlyApp
    verified: pulumi.CustomResource
    verify_credential: pulumi.Output[str]
    made_beside_migration: list[pulumi.Resource]
    waits_for: list[pulumi.Resource]

    def __init__(self, name: str, args: PrefectServerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(PREFECT_SERVER, name, None, opts)
        app = FlyApp(name, _app_args(args), child_options(self, opts))
        image = DockerImage(
            name,
            DockerImageArgs(image=args.image, app=app.app, app_id=app.app_id),
            child_options(self, opts),
        )
        secrets = FlySecrets(name, _secrets_args(args, app), child_options(self, opts))
        keys = FlySecrets(f"{name}-keys", _keys_args(args, app), child_options(self, opts, after=secrets.waits_for))
        before_machines = child_options(self, opts, after=[*app.waits_for, *secrets.waits_for])
        migrated = _migrate(name, args, app, secrets, image.reference, before_machines)
        machines = FlyMachines(
            name,
            _machines_args(args, app, secrets, keys, image.reference),
            child_options(self, opts, after=[migrated, *keys.waits_for]),
        )
        self.app, self.image, self.machine_ids = app, image.reference, machines.ids
        self.verify_credential = args.keys.credential(VERIFY)
        after_machines = child_options(self, opts, after=[*app.waits_for, *machines.waits_for])
        domain = _verify_domain(name, args, app, after_machines)
        published = _publish(name, args, app, child_options(self, after_machines, after=domain))
        after_keys = child_options(self, opts, after=[*app.waits_for, *domain, published])
        self.verified = _verify(name, args, app, machines, published, after_keys)
        self.made_beside_migration, self.waits_for = keys.waits_for, [self.verified]
        self.register_outputs({"image": self.image, "machineIds": self.machine_ids})


def _app_args(args: PrefectServerArgs) -> FlyAppArgs:
    return FlyAppArgs(
        world=args.world,
        org=args.fly.org,
        adopt_existing=args.fly.adopt_existing,
        owner=args.owner,
        others=args.other_apps,
        domain=args.fly.domain,
        private=args.fly.private,
    )


def _secrets_args(args: PrefectServerArgs, app: FlyApp) -> FlySecretsArgs:
    values: dict[str, pulumi.Input[str]] = {
        DATABASE_SECRET: args.secrets.database_url,
        KEYS_SIGNING_SECRET: args.keys.signing,
    }
    if args.secrets.database_ca:
        values[DATABASE_CA_SECRET] = args.secrets.database_ca
    if args.secrets.redis_url:
        values[REDIS_SECRET] = args.secrets.redis_url
    return FlySecretsArgs(
        world=args.world,
        app=app.app,
        app_resource=app.resource,
        values=values,
        # The image refuses to start with names that it would have to ignore.
        absent=RETIRED_NAMES,
        owner=args.owner,
        take_over=args.fly.adopt_existing,
    )


def _keys_args(args: PrefectServerArgs, app: FlyApp) -> FlySecretsArgs:
    # A set of their own, since they change without a machine being touched: they are for those that start later.
    generation = args.keys.ring.generation.apply(lambda number: str(int(number)))
    return FlySecretsArgs(
        world=args.world,
        app=app.app,
        app_resource=app.resource,
        values={API_KEYS_SECRET: args.keys.ring.ring, KEYS_GENERATION_SECRET: generation},
        owner=f"{args.owner}_keys",
        take_over=args.fly.adopt_existing,
    )


def _machines_args(
    args: PrefectServerArgs, app: FlyApp, secrets: FlySecrets, keys: FlySecrets, image: pulumi.Output[str]
) -> FlyMachinesArgs:
    newest = pulumi.Output.all(secrets.version, keys.version).apply(lambda versions: int(max(versions)))
    return FlyMachinesArgs(
        world=args.world,
        owner=args.owner,
        settings=args.machines,
        api_regions=args.api_regions,
        adopt=args.fly.adopt_existing,
        healthy_timeout=args.timeouts.healthy,
        strategy=args.strategy,
        # Not the domain, which may lead there only later. A private address cannot be reached from here.
        app_url="" if args.fly.private else args.fly.app_url,
        app=app,
        image=image,
        secrets_version=newest,
        secrets_fingerprint=secrets.fingerprint,
    )


def _migrate(
    name: str,
    args: PrefectServerArgs,
    app: FlyApp,
    secrets: FlySecrets,
    image: pulumi.Output[str],
    opts: pulumi.ResourceOptions,
) -> pulumi.Resource:
    patience = args.timeouts.migrate
    return ops_command(
        f"{name}-migrate",
        OpsEvent(
            verb="migrate",
            flags={
                "endpoints": args.world.value,
                "server-app": app.app,
                "image": image,
                "region": args.machines.region,
                "env": {
                    **database_environment(args.machines.database),
                    **snapshot_environment(args.machines.database),
                    "PREFECT_FLY_MIGRATE_TIMEOUT": str(patience),
                },
                "min-secrets-version": secrets.version,
                "owner": args.owner,
                # The migration itself gives up first, and says why; the rest is for its machine to start.
                "timeout": patience + _MACHINE_START_SECONDS,
            },
            triggers=[image, _database_fingerprint(args)],
            only_triggers=True,
        ),
        opts,
    )


def _database_fingerprint(args: PrefectServerArgs) -> pulumi.Output[str]:
    # Made here and not taken from the secrets' outputs, which a preview does not know while another secret changes:
    # it would announce a migration that then does not run. The salt only has to be the same every time.
    return pulumi.Output.secret(fingerprint(args.owner, args.secrets.database_url))


def _verify_domain(
    name: str, args: PrefectServerArgs, app: FlyApp, opts: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    certificate = app.certificate
    if certificate is None or not args.fly.use_domain:
        return []
    event = OpsEvent(
        verb="verify-domain",
        flags={
            "endpoints": args.world.value,
            "server-app": app.app,
            "domain": certificate.hostname,
            "server-url": args.fly.domain_url,
            "timeout": args.timeouts.domain,
        },
        triggers=[certificate.requested_at, args.fly.domain_url],
        only_triggers=True,
    )
    return [ops_command(f"{name}-domain", event, opts)]


def _publish(name: str, args: PrefectServerArgs, app: FlyApp, opts: pulumi.ResourceOptions) -> PublishedKeys:
    ring = args.keys.ring
    return PublishedKeys(
        name,
        url=args.fly.server_url,
        generation=ring.generation,
        ring=ring.ring,
        mac=ring.mac,
        signing=args.keys.signing,
        app=app.app,
        inside=args.fly.reach == "machine",
        endpoints=args.world.value,
        timeout=args.timeouts.healthy,
        opts=opts,
    )


def _verify(
    name: str,
    args: PrefectServerArgs,
    app: FlyApp,
    machines: FlyMachines,
    published: PublishedKeys,
    opts: pulumi.ResourceOptions,
) -> pulumi.CustomResource:
    url = args.fly.server_url
    return ops_command(
        f"{name}-verify",
        OpsEvent(
            verb="verify-server",
            flags={
                "endpoints": args.world.value,
                "server-url": url,
                "server-app": app.app,
                "accepted-keys": ",".join(args.keys.names),
                "keys-generation": published.generation,
                "timeout": args.timeouts.healthy,
                "reach": args.fly.reach,
            },
            environment={VERIFY_KEY: args.keys.credential(VERIFY)},
            triggers=[machines.revisions, url, published.generation],
        ),
        opts,
    )
