"""A self-hosted Prefect server on Fly: app, addresses, image, secrets, migration, machines and the proof that it works.

Owns all of these. Does not own the database: schema and history stay when the server goes (docs/rollback.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components.api_keys import ApiKeys
from components.docker_image import DockerImage, DockerImageArgs
from components.fly_app import FlyApp, FlyAppArgs
from components.fly_machines import FlyMachines, FlyMachinesArgs
from components.fly_secrets import FlySecrets, FlySecretsArgs
from components.machine_config import database_environment
from components.ops_command import ops_command
from components.type_tokens import PREFECT_SERVER
from settings import Settings

DATABASE_SECRET = "PREFECT_SERVER_DATABASE_CONNECTION_URL"  # noqa: S105 - a variable's name
_VERIFY_CONSUMER = "verify"
_MACHINE_START_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class PrefectServerArgs:
    """Inputs of PrefectServer.

    Attributes:
        settings: the stack's settings.
        keys: the API keys that the server accepts; must hold one for the consumer `verify`.
    """

    settings: Settings
    keys: ApiKeys

    def __post_init__(self) -> None:
        if self.settings.mode != "self-hosted":
            raise ValueError("mode: cloud has no server of its own")


class PrefectServer(pulumi.ComponentResource):
    """The server; whatever needs it depends on `verified`, the last resource of the chain."""

    image: pulumi.Output[str]
    machine_ids: pulumi.Output[dict[str, str]]
    verified: pulumi.CustomResource
    verify_credential: pulumi.Output[str]

    def __init__(self, name: str, args: PrefectServerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(PREFECT_SERVER, name, None, opts)
        settings, parent = args.settings, pulumi.ResourceOptions(parent=self)
        self.app = _app(name, settings, parent)
        image = DockerImage(
            name, DockerImageArgs(image=settings.image, app=self.app.app, app_id=self.app.app_id), parent
        )
        self.secrets = _secrets(name, args, self.app, parent)
        migrated = _migrate(name, settings, self, image.reference)
        machines = FlyMachines(
            name,
            FlyMachinesArgs(
                settings=settings,
                app=self.app,
                image=image.reference,
                secrets_version=self.secrets.version,
                secrets_fingerprint=self.secrets.fingerprint,
            ),
            pulumi.ResourceOptions(parent=self, depends_on=[migrated]),
        )
        self.image, self.machine_ids = image.reference, machines.ids
        self.verify_credential = args.keys.credential(_VERIFY_CONSUMER)
        self.verified = _verify(name, settings, self, machines)
        self.register_outputs({"image": self.image, "machineIds": self.machine_ids})


def _app(name: str, settings: Settings, opts: pulumi.ResourceOptions) -> FlyApp:
    fly = settings.fly
    args = FlyAppArgs(
        world=settings.world,
        org=fly.org,
        adopt_existing=fly.adopt_existing,
        owner=settings.owner,
        others=[settings.orchestrator.app] if settings.orchestrator.connected else [],
    )
    return FlyApp(name, args, opts)


def _secrets(name: str, args: PrefectServerArgs, app: FlyApp, opts: pulumi.ResourceOptions) -> FlySecrets:
    settings = args.settings
    values: dict[str, pulumi.Input[str]] = {
        DATABASE_SECRET: settings.database_url,
        "PREFECT_FLY_API_KEYS": args.keys.hashes_json,
    }
    if settings.database_ca:
        values["PREFECT_FLY_DATABASE_CA"] = settings.database_ca
    if settings.redis_url:
        values["PREFECT_FLY_REDIS_URL"] = settings.redis_url
    return FlySecrets(
        name,
        FlySecretsArgs(
            world=settings.world,
            app=app.app,
            app_resource=app.resource,
            values=values,
            owner=settings.owner,
            take_over=settings.fly.adopt_existing,
        ),
        opts,
    )


def _migrate(name: str, settings: Settings, server: PrefectServer, image: pulumi.Output[str]) -> pulumi.Resource:
    database = server.secrets.fingerprints.apply(lambda known: known[DATABASE_SECRET])
    return ops_command(
        f"{name}-migrate",
        "migrate",
        {
            "endpoints": settings.world.value,
            "app": server.app.app,
            "image": image,
            "region": settings.fly.region,
            "env": {**database_environment(settings), "PREFECT_FLY_MIGRATE_TIMEOUT": str(settings.timeouts.migrate)},
            "min-secrets-version": server.secrets.version,
            "owner": settings.owner,
            # The migration itself gives up first, and says why; the rest is for its machine to start.
            "timeout": settings.timeouts.migrate + _MACHINE_START_SECONDS,
        },
        triggers=[image, database],
        only_triggers=True,
        opts=pulumi.ResourceOptions(parent=server, depends_on=[*server.app.resources, server.secrets.resource]),
    )


def _verify(name: str, settings: Settings, server: PrefectServer, machines: FlyMachines) -> pulumi.CustomResource:
    return ops_command(
        f"{name}-verify",
        "verify-server",
        {
            "endpoints": settings.world.value,
            "url": settings.server_url,
            "app": server.app.app,
            "timeout": settings.timeouts.healthy,
        },
        environment={"PREFECT_FLY_VERIFY_KEY": server.verify_credential},
        triggers=[machines.revisions, settings.server_url],
        opts=pulumi.ResourceOptions(parent=server, depends_on=[*server.app.resources, *machines.machines.values()]),
    )
