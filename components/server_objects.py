"""What the stack keeps on the Prefect server besides alerts: variables, work pools and concurrency limits.

Owns those that the stack states. Does not own others, nor the queues and workers of its pools.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pydantic import JsonValue

from clients.names import mark_of
from components.children import child_options
from components.server_access import ServerAccess
from components.type_tokens import SERVER_OBJECTS
from providers.prefect_concurrency_limit import ConcurrencyLimit
from providers.prefect_variable import Variable
from providers.prefect_work_pool import WorkPool
from settings.server_groups import ConcurrencyLimitSettings, WorkPoolSettings


@dataclass(frozen=True, kw_only=True)
class ServerObjectsArgs:
    """Inputs of ServerObjects.

    Attributes:
        access: to the server.
        variables: by name, any JSON each.
        work_pools: by name.
        limits: global ones by name, and those of tags.
    """

    access: ServerAccess
    variables: Mapping[str, JsonValue]
    work_pools: Mapping[str, WorkPoolSettings]
    limits: ConcurrencyLimitSettings


class ServerObjects(pulumi.ComponentResource):
    """The objects on one server. What uses them waits for them, and lets go of them before they go."""

    waits_for: list[pulumi.Resource]

    def __init__(self, name: str, args: ServerObjectsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(SERVER_OBJECTS, name, None, opts)
        own = child_options(self, opts)
        self.waits_for = [
            *_variables(name, args, own),
            *_work_pools(name, args, own),
            *_limits(name, args, own),
        ]
        self.register_outputs({"objects": len(self.waits_for)})


def _variables(name: str, args: ServerObjectsArgs, opts: pulumi.ResourceOptions) -> list[pulumi.Resource]:
    tags = [mark_of(args.access.owner)]
    return [
        Variable(f"{name}-variable-{key}", **args.access.inputs(key), value=value, tags=tags, opts=opts)
        for key, value in args.variables.items()
    ]


def _work_pools(name: str, args: ServerObjectsArgs, opts: pulumi.ResourceOptions) -> list[pulumi.Resource]:
    return [
        WorkPool(
            f"{name}-work-pool-{key}",
            **args.access.inputs(key),
            pool_type=pool.type,
            description="\n\n".join(text for text in (pool.description, args.access.description) if text),
            is_paused=pool.paused,
            concurrency_limit=pool.concurrency_limit,
            opts=opts,
        )
        for key, pool in args.work_pools.items()
    ]


def _limits(name: str, args: ServerObjectsArgs, opts: pulumi.ResourceOptions) -> list[pulumi.Resource]:
    found: list[pulumi.Resource] = [
        ConcurrencyLimit(
            f"{name}-limit-{key}",
            **args.access.inputs(key),
            scope="global",
            limit=limit.limit,
            slot_decay_per_second=limit.slot_decay_per_second,
            active=limit.active,
            opts=opts,
        )
        for key, limit in args.limits.everywhere.items()
    ]
    found += [
        ConcurrencyLimit(f"{name}-tag-limit-{tag}", **args.access.inputs(tag), scope="tag", limit=slots, opts=opts)
        for tag, slots in args.limits.tags.items()
    ]
    return found
