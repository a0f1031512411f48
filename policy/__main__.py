"""The pack: `pulumi preview --policy-pack policy` (or toolchain/policy-pack, docs/toolchain.md)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
)

# The engine runs the pack's folder as the program, so the checkout is not on the path.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from policy.rules import RULES, Resource, Rule
from policy.secrecy import Secrecy


def _validation(rule: Rule) -> Callable[[ResourceValidationArgs, ReportViolation], None]:
    def validate(args: ResourceValidationArgs, report_violation: ReportViolation) -> None:
        resource = Resource(type=args.resource_type, props=args.props, protect=bool(args.opts.protect))
        for sentence in rule(resource):
            report_violation(sentence, None)

    return validate


_secrecy = Secrecy()

PolicyPack(
    name="prefect-fly",
    enforcement_level=EnforcementLevel.MANDATORY,
    policies=[
        *[
            ResourceValidationPolicy(name=name, description=(rule.__doc__ or "").strip(), validate=_validation(rule))
            for name, rule in RULES.items()
        ],
        ResourceValidationPolicy(
            name="secrets-are-secret",
            description="What looks like a credential is encrypted in the state.",
            validate=_secrecy.report,
            remediate=_secrecy.remember,
            # The only level at which the engine tells which inputs are secret; nothing is ever changed.
            enforcement_level=EnforcementLevel.REMEDIATE,
        ),
    ],
)
