"""The wiring of the orchestrator: its secrets, the repository's secrets, the redeploy, and the way back.

Owns the names it sets, and the bookend: a Command that does nothing until it is deleted, when the secrets above it are
already unset; then it redeploys the orchestrator and waits until that runs in ephemeral mode again. The server below it
goes only after that. The component is the same in both modes, so that a change of mode does not undo the wiring.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components.api_keys import ApiKeys
from components.fly_secrets import FlySecrets, FlySecretsArgs
from components.github_secrets import GitHubSecrets, GitHubSecretsArgs
from components.ops_command import ops_command
from components.orchestrator_redeploy import OrchestratorRedeploy, OrchestratorRedeployArgs, redeploy_flags
from components.prefect_server import PrefectServer
from components.type_tokens import ORCHESTRATOR_WIRING
from components.uptime_monitor import UptimeMonitor
from settings import Settings

API_URL = "PREFECT_API_URL"
API_KEY = "PREFECT_API_KEY"
AUTH_STRING = "PREFECT_API_AUTH_STRING"


@dataclass(frozen=True, kw_only=True)
class OrchestratorWiringArgs:
    """Inputs of OrchestratorWiring.

    Attributes:
        settings: the stack's settings.
        keys: API keys with the consumers `orchestrator` and `github`; None with Prefect Cloud.
        server: the server to wire to; None with Prefect Cloud.
        monitor: goes, like the server, only when the orchestrator let go; None where there is none.
    """

    settings: Settings
    keys: ApiKeys | None
    server: PrefectServer | None
    monitor: UptimeMonitor | None = None

    def __post_init__(self) -> None:
        if (self.keys is None) != (self.server is None):
            raise ValueError("keys and server go together: both for our own server, neither for Prefect Cloud")


class OrchestratorWiring(pulumi.ComponentResource):
    """Everything that makes the orchestrator named like the component use the server."""

    run_url: pulumi.Output[str]

    def __init__(self, name: str, args: OrchestratorWiringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(ORCHESTRATOR_WIRING, name, None, opts)
        settings = args.settings
        bookend = ops_command(
            f"{name}-detach",
            "detach",
            {
                **redeploy_flags(settings, settings.orchestrator.rollback),
                "health-url": settings.orchestrator.health_url,
                # Lets a 404 prove that the orchestrator's app is gone.
                "org": settings.fly.org if settings.mode == "self-hosted" else None,
            },
            runs_on="delete",
            opts=pulumi.ResourceOptions(parent=self, depends_on=_below_bookend(args)),
        )
        after_bookend = pulumi.ResourceOptions(parent=self, depends_on=[bookend])
        secrets = _orchestrator_secrets(name, args, after_bookend)
        github = _github_secrets(args, after_bookend)
        redeploy = OrchestratorRedeploy(
            name,
            OrchestratorRedeployArgs(
                settings=settings,
                secrets_fingerprint=secrets.fingerprint,
                key_name=args.keys.current_name("orchestrator") if args.keys else None,
                verify_credential=args.server.verify_credential if args.server else None,
                server_verified=args.server.verified if args.server else None,
            ),
            pulumi.ResourceOptions(parent=self, depends_on=[secrets.resource, *github.secrets]),
        )
        self.run_url = redeploy.run_url
        self.register_outputs({"runUrl": self.run_url})


def _below_bookend(args: OrchestratorWiringArgs) -> list[pulumi.Resource]:
    """What destroy may touch only after the orchestrator let go."""
    below: list[pulumi.Resource] = []
    if args.server:
        below.append(args.server.verified)
    if args.monitor:
        below.append(args.monitor.resource)
    return below


def consumer_values(args: OrchestratorWiringArgs, consumer: str) -> dict[str, pulumi.Input[str]]:
    """What a consumer's PREFECT_* variables are set to.

    Our own server gets the auth string beside the key, because Prefect's client authenticates its websockets with
    nothing else; with Prefect Cloud it must not be there, because it would win over the key (docs/gate.md).
    """
    if args.keys is None:
        return {API_URL: args.settings.api_url, API_KEY: pulumi.Output.secret(args.settings.cloud_api_key)}
    return {
        API_URL: args.settings.api_url,
        API_KEY: args.keys.value(consumer),
        AUTH_STRING: args.keys.credential(consumer),
    }


def _orchestrator_secrets(name: str, args: OrchestratorWiringArgs, opts: pulumi.ResourceOptions) -> FlySecrets:
    settings = args.settings
    values = consumer_values(args, "orchestrator")
    return FlySecrets(
        name,
        FlySecretsArgs(
            world=settings.world,
            app=settings.orchestrator.app,
            values=values,
            absent=[AUTH_STRING] if AUTH_STRING not in values else [],
            owner=settings.owner,
            take_over=settings.orchestrator.take_over,
        ),
        opts,
    )


def _github_secrets(args: OrchestratorWiringArgs, opts: pulumi.ResourceOptions) -> GitHubSecrets:
    github = args.settings.github
    identity = "/".join(part for part in (github.repository, github.environment) if part)
    secrets = GitHubSecretsArgs(
        repository=github.repository, environment=github.environment, values=consumer_values(args, "github")
    )
    return GitHubSecrets(identity, secrets, opts)
