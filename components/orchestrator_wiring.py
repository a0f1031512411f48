"""The wiring of the orchestrator: its secrets, the repository's secrets, the redeploy, and the way back.

Owns the names it sets, and the bookend: a Command that does nothing until it is deleted, when the secrets above it are
already unset; then it redeploys the orchestrator and waits until that runs in ephemeral mode again. The server below it
goes only after that. The component is the same in both modes, so that a change of mode does not undo the wiring.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi

from clients.client_versions import needs_header
from clients.names import API_KEY, API_URL, AUTH_STRING, CUSTOM_HEADERS
from components.api_keys import ApiKeys
from components.children import child_options
from components.fly_secrets import FlySecrets, FlySecretsArgs
from components.github_secrets import GitHubSecrets, GitHubSecretsArgs, github_provider
from components.ops_command import OpsEvent, ops_command
from components.orchestrator_redeploy import Deployment, OrchestratorRedeploy, OrchestratorRedeployArgs, OwnServer
from components.type_tokens import ORCHESTRATOR_WIRING

_OF_OUR_OWN = (AUTH_STRING, CUSTOM_HEADERS)


@dataclass(frozen=True, kw_only=True)
class Connection:
    """What a consumer needs to use a server: the values of its PREFECT_* variables.

    Our own server gets the auth string beside the key, because Prefect's client authenticates its websockets with
    nothing else; an older client is given its key as a header as well. With Prefect Cloud neither may be there, because
    it would win over the key (docs/gate.md).
    """

    values: Mapping[str, pulumi.Input[str]] = field(repr=False)

    @classmethod
    def to_own_server(cls, api_url: str, keys: ApiKeys, consumer: str, client_version: str | None = None) -> Connection:
        """Return what `consumer` needs for our own server, with a Prefect client of `client_version`."""
        values: dict[str, pulumi.Input[str]] = {
            API_URL: api_url,
            API_KEY: keys.value(consumer),
            AUTH_STRING: keys.credential(consumer),
        }
        if needs_header(client_version):
            values[CUSTOM_HEADERS] = keys.value(consumer).apply(_header_of)
        return cls(values=values)

    @classmethod
    def to_cloud(cls, api_url: str, key: str) -> Connection:
        """Return what every consumer needs for Prefect Cloud."""
        return cls(values={API_URL: api_url, API_KEY: pulumi.Output.secret(key)})

    @property
    def removable(self) -> list[str]:
        """Names that are set and that Prefect Cloud must not see."""
        return [name for name in _OF_OUR_OWN if name in self.values]

    @property
    def absent(self) -> list[str]:
        """Names that must not be set."""
        return [] if self.removable else list(_OF_OUR_OWN)


@dataclass(frozen=True, kw_only=True)
class OrchestratorWiringArgs:
    """Inputs of OrchestratorWiring.

    Attributes:
        deployment: how the orchestrator is deployed.
        owner: the stack's mark.
        fly_org: organisation of the orchestrator's app; lets a 404 prove that it is gone. None: not known.
        orchestrator: what the orchestrator is given.
        github: what the repository is given; None for nothing.
        server: our own server; None with Prefect Cloud.
        healthy_timeout: seconds the orchestrator may take to say that it is healthy.
        waits_for: what destroy may touch only after the orchestrator let go.
        github_starts_after: resources after which GitHub's plugin is started, long before its first secret.
    """

    deployment: Deployment
    owner: str
    fly_org: str | None
    orchestrator: Connection
    github: Connection | None
    server: OwnServer | None
    healthy_timeout: int
    waits_for: Sequence[pulumi.Resource] = ()
    github_starts_after: Sequence[pulumi.Resource] = ()


class OrchestratorWiring(pulumi.ComponentResource):
    """Everything that makes the orchestrator named like the component use the server."""

    run_url: pulumi.Output[str]

    def __init__(self, name: str, args: OrchestratorWiringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(ORCHESTRATOR_WIRING, name, None, opts)
        deployment = args.deployment
        bookend = ops_command(
            f"{name}-detach",
            OpsEvent(
                verb="detach",
                flags={
                    **deployment.flags(deployment.orchestrator.rollback),
                    "health-url": deployment.orchestrator.health_url,
                    "org": args.fly_org,
                },
                runs_on="delete",
            ),
            child_options(self, opts, after=args.waits_for),
        )
        above = child_options(self, opts, after=[bookend])
        secrets = FlySecrets(name, _secrets_args(args), above)
        github = self._github(args, args.github, secrets, above) if args.github else None
        redeploy = OrchestratorRedeploy(
            name,
            OrchestratorRedeployArgs(
                deployment=deployment,
                secrets_fingerprint=secrets.fingerprint,
                server=args.server,
                healthy_timeout=args.healthy_timeout,
            ),
            child_options(self, opts, after=[*secrets.waits_for, *(github.waits_for if github else [])]),
        )
        self.run_url = redeploy.run_url
        self.register_outputs({"runUrl": self.run_url})

    def _github(
        self,
        args: OrchestratorWiringArgs,
        connection: Connection,
        orchestrator: FlySecrets,
        opts: pulumi.ResourceOptions,
    ) -> GitHubSecrets:
        github, owner = args.deployment.github, args.deployment.github_owner
        # Not the repository's name: after a rename the old name's secrets would be deleted behind the new one's, and
        # both names lead to one repository.
        target = f"environment-{github.environment}" if github.environment else "repository"
        secrets = GitHubSecretsArgs(
            owner=owner,
            provider=github_provider(owner, child_options(self, after=args.github_starts_after)),
            repository=github.repository,
            environment=github.environment,
            values=connection.values,
            removable=connection.removable,
            absent=connection.absent,
            removed_after=orchestrator.waits_for,
        )
        return GitHubSecrets(target, secrets, opts)


def _header_of(key: str) -> str:
    # Bearer and not Basic: logs that mask the key's own value then mask this one's as well.
    return json.dumps({"Authorization": f"Bearer {key}"})


def _secrets_args(args: OrchestratorWiringArgs) -> FlySecretsArgs:
    orchestrator = args.deployment.orchestrator
    return FlySecretsArgs(
        world=args.deployment.world,
        app=orchestrator.app,
        values=args.orchestrator.values,
        absent=args.orchestrator.absent,
        owner=args.owner,
        take_over=orchestrator.take_over,
    )
