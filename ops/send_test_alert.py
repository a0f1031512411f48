"""send-test-alert: send one test message through an alert channel, the whole way, and wait until it was taken.

The server itself sends it: an event of ours reaches the automation that waits for it, and that one's block sends the
message. The server's own record of the action says whether the other side took it.
"""

from __future__ import annotations

import argparse

from clients.names import ALERT_TEST_EVENT, SERVER_KEY
from clients.prefect_api.client import PrefectApi
from clients.prefect_api.errors import PrefectApiTransientError
from clients.prefect_api.events import ActionTaken
from clients.redaction import redacted
from ops import arguments
from ops.errors import OpsError
from ops.runtime import Runtime

# A server with its services elsewhere learns of a new automation after some seconds, and misses events before that.
_AGAIN_SECONDS = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    arguments.endpoints(parser)
    parser.add_argument("--api-url", required=True, help="the server's API, as in PREFECT_API_URL")
    parser.add_argument("--automation", required=True, help="name of the automation that sends the test message")
    parser.add_argument("--resource", required=True, help="resource of the event that it waits for")
    arguments.timeout(parser, 180)


def run(args: argparse.Namespace, rt: Runtime) -> dict[str, object]:
    """Send the event, again until it is heard, and wait for what became of the message.

    Raises:
        OpsError: the message was not sent, or the other side did not take it.
        PrefectApiError: the server refuses the key.
    """
    key = rt.environ.get(SERVER_KEY, "")
    if not key:
        raise OpsError(f'could not read variable "{SERVER_KEY}": it is not set. The program sets it.')
    api = PrefectApi.at(args.api_url, key, rt.world)
    found = api.automations.find(args.automation)
    if not found:
        raise OpsError(f'could not test alert "{args.automation}": the server has none. Run "pulumi up --refresh".')
    taken = _wait(api, str(found[0]["id"]), args, rt)
    if not taken.executed:
        raise OpsError(
            f'could not test alert "{args.automation}": the server sent it and was refused: {redacted(taken.reason)}. '
            'Correct the channel\'s address (secret alertAddresses), then run "pulumi up" again.'
        )
    rt.progress.say(f'"{args.automation}" was sent and taken')
    return {"automation": args.automation, "sent": True}


def _wait(api: PrefectApi, automation: str, args: argparse.Namespace, rt: Runtime) -> ActionTaken:
    sent: list[str] = []
    last = 0.0
    for left in rt.until(args.timeout):
        try:
            if not sent or rt.clock() - last >= _AGAIN_SECONDS:
                sent.append(api.events.send(ALERT_TEST_EVENT, args.resource))
                last = rt.clock()
            if taken := api.events.actions(automation, sent):
                return taken[0]
        except PrefectApiTransientError as trouble:
            rt.progress.waiting(trouble.said, left)
            continue
        rt.progress.waiting("waiting until the server says that the message was taken", left)
    raise OpsError(
        f'could not test alert "{args.automation}": the server has not said within {args.timeout:.0f} s that it was '
        "taken. If nothing arrived, correct the channel's address (secret alertAddresses); the server's log says more."
    )
