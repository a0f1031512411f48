"""Options of a component's children.

The engine does not copy a component's `depends_on` to its children; without the copy a child would start at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi


def child_options(
    parent: pulumi.ComponentResource,
    opts: pulumi.ResourceOptions | None = None,
    *,
    after: Sequence[pulumi.Resource] = (),
    **more: Any,
) -> pulumi.ResourceOptions:
    """Return options for a child of `parent`: below it, and after all that the component itself waits for.

    Args:
        parent: the component.
        opts: the component's own options.
        after: resources that this child waits for as well.
        more: other options of the child.
    """
    own = pulumi.ResourceOptions(parent=parent, depends_on=list(after), **more)
    inherited = pulumi.ResourceOptions(depends_on=opts.depends_on if opts else None)
    return pulumi.ResourceOptions.merge(inherited, own)
