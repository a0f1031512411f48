"""The redeploy that brings new secrets to the orchestrator, and the proof that it uses them.

Owns two events: the redeploy, which runs again when the secrets change, and the verification after it. Does not own
the orchestrator, its workflow or its machines.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import pulumi

from components.ops_command import Flags, ops_command
from components.type_tokens import ORCHESTRATOR_REDEPLOY
from settings import Settings


@dataclass(frozen=True, kw_only=True)
class OrchestratorRedeployArgs:
    """Inputs of OrchestratorRedeploy.

    Attributes:
        settings: the stack's settings.
        secrets_fingerprint: changes when the orchestrator's secrets do.
        key_name: name of the key the orchestrator uses; None with Prefect Cloud.
        verify_credential: `name:key` that may read the server's counters; None with Prefect Cloud.
        server_verified: the server's own verification; None with Prefect Cloud.
    """

    settings: Settings
    secrets_fingerprint: pulumi.Output[str]
    key_name: str | None
    verify_credential: pulumi.Output[str] | None
    server_verified: pulumi.CustomResource | None


class OrchestratorRedeploy(pulumi.ComponentResource):
    """Redeploys and verifies the orchestrator named like the component."""

    run_url: pulumi.Output[str]

    def __init__(self, name: str, args: OrchestratorRedeployArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(ORCHESTRATOR_REDEPLOY, name, None, opts)
        settings = args.settings
        redeploy = ops_command(
            f"{name}-redeploy",
            "redeploy",
            redeploy_flags(settings, settings.orchestrator.redeploy),
            triggers=[args.secrets_fingerprint],
            opts=pulumi.ResourceOptions(parent=self, depends_on=opts.depends_on if opts else None),
        )
        report = redeploy.stdout.apply(_read_report)
        before = [args.server_verified.id] if args.server_verified else []
        ops_command(
            f"{name}-verify",
            "verify",
            _verify_flags(args, report.apply(lambda known: str(known["started_at"]))),
            environment={"PREFECT_FLY_VERIFY_KEY": args.verify_credential} if args.verify_credential else None,
            triggers=[redeploy.stdout, *before],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[redeploy]),
        )
        self.run_url = report.apply(lambda known: str(known["url"] or ""))
        self.register_outputs({"runUrl": self.run_url})


def redeploy_flags(settings: Settings, mode: str) -> Flags:
    """Flags that `redeploy` and `detach` share."""
    github = settings.github
    return {
        "endpoints": settings.world.value,
        "mode": mode,
        "app": settings.orchestrator.app,
        "repository": f"{settings.github_owner}/{github.repository}",
        "workflow": github.workflow,
        "ref": github.ref,
        "inputs": json.dumps(github.workflow_inputs, sort_keys=True) if github.workflow_inputs else None,
        "timeout": settings.timeouts.redeploy,
    }


def _verify_flags(args: OrchestratorRedeployArgs, since: pulumi.Output[str]) -> Flags:
    settings = args.settings
    own_server = settings.mode == "self-hosted"
    return {
        "endpoints": settings.world.value,
        "mode": settings.mode,
        "health-url": settings.orchestrator.health_url,
        "server-url": settings.server_url if own_server else None,
        "app": settings.fly.app if own_server else None,
        "key": args.key_name,
        "since": since,
        "timeout": settings.timeouts.healthy,
    }


def _read_report(stdout: str) -> dict[str, object]:
    """The last line of a redeploy is its report."""
    report = json.loads(stdout.strip().splitlines()[-1])
    if not isinstance(report, dict):
        raise TypeError("the redeploy's report is no JSON object")
    return report
