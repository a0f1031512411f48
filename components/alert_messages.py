"""What alerts listen for and what they say: triggers and templates of Prefect's automations; pure functions.

Events and labels as Prefect 3.8.8 sends them (prefect/server/models/events.py). A flow run's event is named after its
state's name, which a flow may choose freely; so what ended badly is known by the type of its state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clients.names import ALERT_TEST_EVENT

_RUN, _DEPLOYMENT, _POOL = "prefect.flow-run.*", "prefect.deployment.*", "prefect.work-pool.*"
_ID, _TYPE = "prefect.resource.id", "prefect.state-type"
# A run's heartbeats have no such label, and are no sign of progress.
_TYPES = ["CANCELLED", "CANCELLING", "COMPLETED", "CRASHED", "FAILED", "PAUSED", "PENDING", "RUNNING", "SCHEDULED"]
_STARTED = ["prefect.flow-run.Pending", "prefect.flow-run.Running"]
# A second test within this many seconds of the first says nothing, so that asking again does not send again.
TEST_QUIET_SECONDS = 60
_RUN_LINK = "/runs/flow-run/{{ flow_run.id }}"
_DEPLOYMENT_LINK = "/deployments/deployment/{{ deployment.id }}"


@dataclass(frozen=True, kw_only=True)
class Message:
    """One thing that a channel hears.

    Attributes:
        title: a few words, for the automation's name.
        trigger: as the API takes it.
        subject: a template.
        body: a template.
    """

    title: str
    trigger: Mapping[str, Any]
    subject: str
    body: str


def message_of(heard: str, *, ui_url: str, stuck_minutes: int, silent_minutes: int) -> Message:
    """Return what a channel that hears of `heard` is told.

    Args:
        heard: of settings.server_groups.Heard.
        ui_url: what links begin with; without it there are none.
        stuck_minutes: after which a run without another state is stuck.
        silent_minutes: after which a deployment that is not polled is silent.
    """
    run = "Flow run {{ event.resource.name }} of {{ flow.name }}"
    said = "{{ event.resource['prefect.state-name'] }}: {{ event.resource['prefect.state-message'] }}"
    if heard in {"failed", "crashed"}:
        trigger = _reactive(["prefect.flow-run.*"], {_ID: _RUN, _TYPE: heard.upper()})
        return _message(f"flow run {heard}", trigger, f"{run} {heard}", said, ui_url, _RUN_LINK)
    if heard == "late":
        trigger = _reactive(["prefect.flow-run.Late"], {_ID: _RUN})
        body = "It should have started by now. Is there a process or worker for it, and is it below its limits?"
        return _message("flow run late", trigger, f"{run} is late", body, ui_url, _RUN_LINK)
    if heard == "stuck":
        trigger = _proactive(_STARTED, ["prefect.flow-run.*"], {_ID: _RUN, _TYPE: _TYPES}, stuck_minutes)
        body = f"It has been {{{{ event.resource['prefect.state-name'] }}}} for {_minutes(stuck_minutes)}."
        return _message("flow run stuck", trigger, f"{run} is stuck", body, ui_url, _RUN_LINK)
    if heard == "work-pool-not-ready":
        trigger = _reactive(["prefect.work-pool.not-ready"], {_ID: _POOL})
        link = "/work-pools/work-pool/{{ work_pool.name }}"
        subject = "Work pool {{ work_pool.name }} is not ready"
        return _message("work pool not ready", trigger, subject, "No worker of it is online.", ui_url, link)
    gone, back = ["prefect.deployment.not-ready"], ["prefect.deployment.ready"]
    if heard == "deployment-not-ready":
        subject, body = "Deployment {{ deployment.name }} is not ready", "No process polls for its runs any more."
        trigger = _reactive(gone, {_ID: _DEPLOYMENT})
        return _message("deployment not ready", trigger, subject, body, ui_url, _DEPLOYMENT_LINK)
    subject = f"Nobody has polled for deployment {{{{ deployment.name }}}} for {_minutes(silent_minutes)}"
    body = "The orchestrator, or whatever serves it, stopped polling: its scheduled runs will be late."
    trigger = _proactive(gone, back, {_ID: _DEPLOYMENT}, silent_minutes)
    return _message("orchestrator silent", trigger, subject, body, ui_url, _DEPLOYMENT_LINK)


def trial_message(resource_id: str, channel: str, stack: str) -> Message:
    """Return the message that proves a channel; the verb send-test-alert sends its event."""
    trigger = {**_reactive([ALERT_TEST_EVENT], {_ID: resource_id}), "within": TEST_QUIET_SECONDS}
    subject = f"Test of alert channel {channel}"
    body = f"The Pulumi stack {stack} made or changed this channel. Nothing is wrong."
    return Message(title="test message", trigger=trigger, subject=subject, body=body)


def automation_name(channel: str, title: str, stack: str) -> str:
    """Return the name of a channel's automation on the server; two stacks may share a workspace."""
    return f"{channel}: {title} ({stack})"


def _message(title: str, trigger: Mapping[str, Any], subject: str, body: str, ui_url: str, link: str) -> Message:
    return Message(title=title, trigger=trigger, subject=subject, body=f"{body}\n{ui_url}{link}" if ui_url else body)


def _minutes(number: int) -> str:
    return "a minute" if number == 1 else f"{number} minutes"


def _reactive(expect: Sequence[str], match: Mapping[str, Any]) -> dict[str, Any]:
    return _trigger("Reactive", [], expect, match, within=0)


def _proactive(after: Sequence[str], expect: Sequence[str], match: Mapping[str, Any], minutes: int) -> dict[str, Any]:
    return _trigger("Proactive", after, expect, match, within=minutes * 60)


def _trigger(
    posture: str, after: Sequence[str], expect: Sequence[str], match: Mapping[str, Any], *, within: int
) -> dict[str, Any]:
    return {
        "type": "event",
        "posture": posture,
        "match": dict(match),
        "match_related": {},
        "after": list(after),
        "expect": list(expect),
        "for_each": [_ID],
        "threshold": 1,
        "within": within,
    }
