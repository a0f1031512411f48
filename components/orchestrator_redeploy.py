"""The redeploy that brings new secrets to the orchestrator, and the proof that it uses them.

Owns two events: the redeploy, which runs again when the secrets change, and the verification after it. Does not own
the orchestrator, its workflow or its machines.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import pulumi

from clients.endpoints import World
from clients.names import VERIFY_KEY
from components.children import child_options
from components.ops_command import Flags, OpsEvent, ops_command
from components.type_tokens import ORCHESTRATOR_REDEPLOY
from settings.groups import GithubSettings, OrchestratorSettings


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """How an orchestrator is deployed.

    Attributes:
        world: the world it lives in.
        orchestrator: its app, health endpoint and ways of redeploying.
        github: the repository and workflow that deploy it.
        github_owner: owner of the repository.
        timeout: seconds a redeploy may take.
    """

    world: World
    orchestrator: OrchestratorSettings
    github: GithubSettings
    github_owner: str
    timeout: int

    def flags(self, by: str) -> Flags:
        """Return the flags that `redeploy` and `detach` share; `by` is workflow or machines."""
        inputs = self.github.workflow_inputs
        return {
            "endpoints": self.world.value,
            "by": by,
            "orchestrator-app": self.orchestrator.app,
            "repository": f"{self.github_owner}/{self.github.repository}",
            "workflow": self.github.workflow,
            "ref": self.github.ref,
            "inputs": json.dumps(inputs, sort_keys=True) if inputs else None,
            "timeout": self.timeout,
        }


@dataclass(frozen=True, kw_only=True)
class OwnServer:
    """Our own server, as the verification of the orchestrator sees it.

    Attributes:
        url: public address.
        app: its Fly app.
        key_name: name of the key that the orchestrator uses.
        credential: `name:key` that may read the server's counters.
        verified: the server's own verification.
        reach: `machine` when only its own machines reach it.
    """

    url: str
    app: str
    key_name: str
    credential: pulumi.Output[str]
    verified: pulumi.CustomResource
    reach: str | None = None


@dataclass(frozen=True, kw_only=True)
class OrchestratorRedeployArgs:
    """Inputs of OrchestratorRedeploy.

    Attributes:
        deployment: how the orchestrator is deployed.
        secrets_fingerprint: changes when the orchestrator's secrets do.
        server: the server it is to use; None with Prefect Cloud.
        healthy_timeout: seconds it may take to say that it is healthy.
    """

    deployment: Deployment
    secrets_fingerprint: pulumi.Output[str]
    server: OwnServer | None
    healthy_timeout: int


class OrchestratorRedeploy(pulumi.ComponentResource):
    """Redeploys and verifies the orchestrator named like the component."""

    run_url: pulumi.Output[str]

    def __init__(self, name: str, args: OrchestratorRedeployArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(ORCHESTRATOR_REDEPLOY, name, None, opts)
        redeploy = ops_command(
            f"{name}-redeploy",
            OpsEvent(
                verb="redeploy",
                flags=args.deployment.flags(args.deployment.orchestrator.redeploy),
                triggers=[args.secrets_fingerprint],
                reads_stdout=True,
            ),
            child_options(self, opts),
        )
        report = redeploy.stdout.apply(_read_report)
        ops_command(
            f"{name}-verify",
            OpsEvent(
                verb="verify",
                flags=_verify_flags(args, report.apply(lambda known: str(known["started_at"]))),
                environment={VERIFY_KEY: args.server.credential} if args.server else None,
                triggers=[redeploy.stdout, *([args.server.verified.id] if args.server else [])],
            ),
            child_options(self, opts, after=[redeploy]),
        )
        self.run_url = report.apply(lambda known: str(known["url"] or ""))
        self.register_outputs({"runUrl": self.run_url})


def _verify_flags(args: OrchestratorRedeployArgs, since: pulumi.Output[str]) -> Flags:
    deployment, server = args.deployment, args.server
    return {
        "endpoints": deployment.world.value,
        "mode": "self-hosted" if server else "cloud",
        "orchestrator-app": deployment.orchestrator.app,
        "health-url": deployment.orchestrator.health_url,
        "server-url": server.url if server else None,
        "server-app": server.app if server else None,
        "key": server.key_name if server else None,
        "since": since,
        "timeout": args.healthy_timeout,
        "client-version": deployment.orchestrator.client_version if server else None,
        "reach": server.reach if server else None,
        "old-client": "warn" if server and deployment.orchestrator.allow_old_client else None,
    }


def _read_report(stdout: str) -> dict[str, object]:
    """The last line of a redeploy is its report."""
    report = json.loads(stdout.strip().splitlines()[-1])
    if not isinstance(report, dict):
        raise TypeError("the redeploy's report is no JSON object")
    return report
