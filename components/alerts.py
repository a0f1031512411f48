"""Alerts: who is told what by the Prefect server itself.

Owns a notification block for each channel, an automation for each thing that it hears, and the event that proves a new
or changed channel with one message. Does not own what people made in the UI: it carries no mark of ours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi

from clients.names import SERVER_KEY, mark_of
from components.alert_messages import Message, automation_name, message_of, trial_message
from components.children import child_options
from components.ops_command import OpsEvent, ops_command
from components.server_access import ServerAccess
from components.type_tokens import ALERTS
from providers.lifecycle import fingerprint
from providers.prefect_automation import Automation
from providers.prefect_notification_block import NotificationBlock
from settings.alert_channels import Block, block_of
from settings.server_groups import AlertSettings

_TEST_SECONDS = 180


@dataclass(frozen=True, kw_only=True)
class AlertsArgs:
    """Inputs of Alerts.

    Attributes:
        access: to the server.
        alerts: channels and what they hear.
        addresses: address of each channel, by name; secret.
    """

    access: ServerAccess
    alerts: AlertSettings
    addresses: Mapping[str, str] = field(repr=False)


class Alerts(pulumi.ComponentResource):
    """The channels and automations on one server."""

    def __init__(self, name: str, args: AlertsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(ALERTS, name, None, opts)
        for channel, stated in args.alerts.channels.items():
            block = block_of(channel, stated, args.addresses[channel])
            # The kind is in both names: another kind is another block, before the old one goes.
            document = NotificationBlock(
                f"{name}-{channel}-{stated.kind}",
                **args.access.inputs(f"{mark_of(args.access.owner)}-{channel}-{stated.kind}"),
                type_slug=block.slug,
                data=block.data,
                opts=child_options(self, opts),
            )
            own = child_options(self, opts, after=[document])
            for heard in stated.hears:
                _automation(f"{name}-{channel}-{heard}", args, channel, _message(args, heard), document, own)
            if args.alerts.test:
                _trial(name, args, channel, block, document, own)
        self.register_outputs({"channels": sorted(args.alerts.channels)})


def _message(args: AlertsArgs, heard: str) -> Message:
    alerts = args.alerts
    return message_of(
        heard,
        ui_url=args.access.ui_url,
        stuck_minutes=alerts.stuck_minutes,
        silent_minutes=alerts.silent_minutes,
    )


def _automation(
    resource: str,
    args: AlertsArgs,
    channel: str,
    message: Message,
    document: NotificationBlock,
    opts: pulumi.ResourceOptions,
) -> Automation:
    return Automation(
        resource,
        **args.access.inputs(automation_name(channel, message.title, args.access.stack)),
        description=args.access.description,
        enabled=True,
        trigger=dict(message.trigger),
        subject=message.subject,
        body=message.body,
        block_id=document.object_id,
        opts=opts,
    )


def _trial(
    name: str,
    args: AlertsArgs,
    channel: str,
    block: Block,
    document: NotificationBlock,
    opts: pulumi.ResourceOptions,
) -> None:
    access = args.access
    resource_id = f"{mark_of(access.owner)}.{channel}"
    message = trial_message(resource_id, channel, access.stack)
    automation = _automation(f"{name}-{channel}-test", args, channel, message, document, opts)
    ops_command(
        f"{name}-{channel}-test",
        OpsEvent(
            verb="send-test-alert",
            flags={
                "endpoints": access.world.value,
                "api-url": access.api_url,
                "automation": automation_name(channel, message.title, args.access.stack),
                "resource": resource_id,
                "timeout": _TEST_SECONDS,
            },
            environment={SERVER_KEY: access.credential},
            # Made here and not taken from the block, whose outputs a preview does not know while its key changes.
            triggers=[pulumi.Output.secret(_fingerprint(args, block))],
            only_triggers=True,
        ),
        pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[automation])),
    )


def _fingerprint(args: AlertsArgs, block: Block) -> str:
    values: dict[str, Any] = {"slug": block.slug, **block.data}
    return fingerprint(args.access.owner, json.dumps(values, sort_keys=True))
