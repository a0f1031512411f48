"""redeploy: bring the orchestrator's present secrets to its machines, through its workflow or by ourselves."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from clients.fly import FlyClient, FlyError
from clients.github import GitHubClient
from ops import arguments
from ops.errors import OpsError
from ops.outdated_machines import rollout, written_at
from ops.restart_machines import restart_with_present_secrets
from ops.runtime import Runtime
from ops.workflow_redeploy import Workflow, WorkflowRedeploy

# For workflows that end before their deploy does.
_ARRIVES_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a redeploy ended with; times are unix seconds.

    Attributes:
        run_id: the workflow run, None with --by machines.
        url: of the run, empty with --by machines.
        attached: an earlier run of the verb had started it.
    """

    run_id: int | None
    url: str
    started_at: int
    finished_at: int
    attached: bool = False

    def as_json(self) -> dict[str, object]:
        """Return what the Command's standard output holds."""
        return {
            "run_id": self.run_id,
            "url": self.url,
            "conclusion": "success",
            "started_at": self.started_at,
            "finished_at": self.finished_at,
        }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    arguments.endpoints(parser)
    arguments.redeploy(parser)


def run(args: argparse.Namespace, rt: Runtime) -> dict[str, object]:
    """Redeploy and wait for the end.

    Raises:
        OpsError: it did not end well in time, or it did and a machine still runs with the secrets of before.
        GitHubError: GitHub refused.
        FlyError: Fly refused.
    """
    written = secrets_written_at(args.orchestrator_app, rt)
    report = redeploy(args, rt, secrets_written_at=written)
    if written:
        _require_updated(args.orchestrator_app, report, rt)
    return report.as_json()


def redeploy(args: argparse.Namespace, rt: Runtime, *, secrets_written_at: float = 0.0) -> Report:
    """Redeploy as --by says.

    Raises:
        OpsError: it did not end well in time.
        GitHubError: GitHub refused.
        FlyError: Fly refused.
    """
    if args.by == "machines":
        began = int(rt.clock())
        restart_with_present_secrets(args.orchestrator_app, args.timeout, rt)
        return Report(run_id=None, url="", started_at=began, finished_at=int(rt.clock()))
    done = workflow_redeploy(args, rt).run(args.timeout, secrets_written_at=secrets_written_at)
    return Report(
        run_id=done.run.id,
        url=done.run.url,
        started_at=int(done.run.started_at),
        finished_at=int(done.run.updated_at),
        attached=done.attached,
    )


def _require_updated(app: str, report: Report, rt: Runtime) -> None:
    """Return when every machine of `app` was updated since the secrets were written.

    A workflow can succeed without touching a machine: it skips the deploy when nothing else changed, or deploys another
    app. Failing here, and not in the verification, lets the next `up` redeploy again.

    Raises:
        OpsError: one was not.
    """
    fly = FlyClient.from_environment(rt.world, rt.environ, progress=rt.progress.say)
    # A removed secret leaves no time behind. Without a run the time is of this machine's clock, and proves nothing.
    began = float(report.started_at) if report.url else 0.0
    problem = advice = ""
    version = 0
    for left in rt.until(_ARRIVES_SECONDS):
        try:
            version = version or fly.secrets.present_version(app)
            found = rollout(fly, app, version, deployed_at=began)
        except FlyError as trouble:
            rt.progress.say(f"{trouble} Leaving it to the verification whether the secrets have arrived.")
            return
        problem, advice = found.problem(), found.advice
        if not problem:
            return
        rt.progress.waiting(f"waiting: {problem}", left)
    by = f"the workflow succeeded ({report.url})" if report.url else "its machines were updated"
    raise OpsError(f'could not redeploy app "{app}": {by}, but {problem}. {advice}')


def workflow_redeploy(args: argparse.Namespace, rt: Runtime) -> WorkflowRedeploy:
    """Build the workflow redeploy from the flags.

    Raises:
        OpsError: a flag is missing.
        GitHubError: there is no token.
    """
    if not args.repository or not args.workflow:
        raise OpsError(
            f'could not redeploy app "{args.orchestrator_app}": --by workflow needs --repository and --workflow. '
            "Give both."
        )
    github = GitHubClient.from_environment(rt.world, rt.environ, progress=rt.progress.say)
    workflow = Workflow(repository=args.repository, file=args.workflow, ref=args.ref, inputs=args.inputs)
    return WorkflowRedeploy(github, workflow, rt)


def secrets_written_at(app: str, rt: Runtime) -> float:
    """Return when our secrets on `app` were last written (unix seconds), 0 when Fly does not say.

    Only an older run of ours in flight is judged by it, so trouble with Fly does not stop a redeploy through GitHub.
    """
    try:
        fly = FlyClient.from_environment(rt.world, rt.environ, progress=rt.progress.say)
        # As of now: they may just have been written, and an older run must not pass for one that has them.
        secrets = fly.secrets.list_now(app)
    except FlyError as trouble:
        rt.progress.say(f"{trouble} Going on without knowing when the secrets were written.")
        return 0.0
    return written_at(secrets)
