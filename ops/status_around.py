"""What `status` says of what is around the server: the orchestrator, its last redeploy, and the monitor."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from clients.better_stack import BetterStackClient
from clients.endpoints import WrongWorldError
from clients.errors import ApiError
from clients.github import GitHubClient
from ops.orchestrator_health import HEALTHY, NOT_CONFIGURED, HealthEndpoint
from ops.status_report import Line, State, age
from ops.status_seen import Seen

_RUNS_SECONDS = 90 * 86400.0
Lines = Iterable[Line]


def orchestrator(seen: Seen) -> Lines:
    """What its health says, against what the stack wants, and its machines."""
    stack = seen.stack
    reading = HealthEndpoint(stack.health_url, seen.rt.world).read()
    wanted = HEALTHY if stack.connected else NOT_CONFIGURED
    text = f"{stack.orchestrator_app}: its Prefect is {reading.said}"
    text += "" if reading.prefect == wanted else f', not "{wanted}"'
    text += "" if stack.connected else " (orchestrator.connected is false)"
    facts: dict[str, object] = {"app": stack.orchestrator_app, "health": reading.prefect or None}
    state: State = "ok" if reading.prefect == wanted else "problem"
    try:
        machines = seen.fly.machines.list(stack.orchestrator_app)
    except (ApiError, WrongWorldError) as error:
        yield Line(part="orchestrator", state=state, text=text, facts=facts)
        yield Line(part="orchestrator", state="unknown", text=str(error))
        return
    started = sum(machine.state == "started" for machine in machines)
    text += f", {started} of {len(machines)} machines started"
    facts |= {"machines": len(machines), "machines_started": started}
    yield Line(part="orchestrator", state=state if started else "problem", text=text, facts=facts)


def redeploy(seen: Seen) -> Lines:
    """The newest run of the workflow that deploys the orchestrator."""
    stack, now = seen.stack, seen.rt.clock()
    if stack.redeploy == "machines":
        yield Line(part="redeploy", state="ok", text="through Fly alone, without a workflow", facts={"by": "machines"})
        return
    github = GitHubClient.from_environment(seen.rt.world, seen.rt.environ, progress=seen.rt.progress.say)
    runs = github.runs(stack.repository, stack.workflow, branch=stack.ref, created_since=now - _RUNS_SECONDS)
    facts: dict[str, object] = {"by": "workflow", "workflow": stack.workflow}
    if not runs:
        yield Line(part="redeploy", state="note", text=f"no run of {stack.workflow} in 90 days", facts=facts)
        return
    run = runs[0]
    state: State = "ok" if run.succeeded else "problem" if run.finished else "note"
    text = f"{run.conclusion or run.status} {age(now - run.updated_at)}, {run.url}"
    yield Line(part="redeploy", state=state, text=text, facts=facts | asdict(run))


def monitor(seen: Seen) -> Lines:
    """The state of Better Stack's monitor."""
    url = seen.stack.monitor_url
    if not url:
        yield Line(
            part="monitor", state="ok", text="none, as the stack says (uptime.enabled)", facts={"enabled": False}
        )
        return
    client = BetterStackClient.from_environment(seen.rt.world, seen.rt.environ, progress=seen.rt.progress.say)
    found = client.find(url)
    if not found:
        yield Line(part="monitor", state="problem", text=f"Better Stack has none for {url}; pulumi up --refresh")
        return
    for monitor in found:
        status, every = str(monitor.attributes.get("status") or "?"), monitor.attributes.get("check_frequency")
        state: State = "ok" if status == "up" else "note" if status in {"pending", "validating"} else "problem"
        facts: dict[str, object] = {"id": monitor.id, "url": url, "status": status, "every_seconds": every}
        yield Line(part="monitor", state=state, text=f"{status}, asks {url} every {every} s", facts=facts)
