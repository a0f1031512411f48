"""What only one stack of this repository may claim: a GitHub target, an orchestrator, an app."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from clients.names import NONCE
from settings.draft import NAMESPACE, Draft, UnusableError
from settings.fly import FlySettings
from settings.groups import GeneralSettings, GithubSettings, OrchestratorSettings
from settings.problems import Problems


def check(draft: Draft, stack: str, root: Path, problems: Problems) -> None:
    """Refuse what another stack file in `root` claims in the same world.

    Databases cannot be compared here, because their URLs are encrypted per stack.
    """
    claimed = {claim: key for key, claim in _own_claims(draft)}
    for other, config in _others(stack, root, problems):
        with suppress(UnusableError):
            if (config.get(f"{NAMESPACE}:endpoints") or "real") != draft.get(GeneralSettings).endpoints:
                continue
        _check_workflow(draft, other, config, problems)
        for claim in _claims_of(config):
            if claim in claimed:
                reason = f"stack {other!r} has the same ({claim}): two stacks would undo each other"
                problems.add(claimed[claim], reason)


def _check_workflow(draft: Draft, other: str, config: Mapping[str, Any], problems: Problems) -> None:
    """Refuse two stacks that dispatch one workflow and could not tell their runs apart."""
    with suppress(UnusableError):
        github = draft.get(GithubSettings)
        theirs = config.get(f"{NAMESPACE}:github")
        theirs = theirs if isinstance(theirs, dict) else {}
        mine = (draft.foreign.get("github:owner"), github.repository, github.workflow)
        other_workflow = theirs.get("workflow") or GithubSettings.model_fields["workflow"].default
        same = (config.get("github:owner"), theirs.get("repository"), other_workflow)
        if [str(part).lower() for part in mine] != [str(part).lower() for part in same]:
            return
        for stack, inputs in (
            ("this stack", str(github.workflow_inputs)),
            (f"stack {other!r}", str(theirs.get("workflowInputs"))),
        ):
            if NONCE not in inputs:
                problems.add(
                    "github.workflowInputs",
                    f"{stack} shares the workflow {github.workflow} without a nonce, so one stack would follow the "
                    f'other\'s run: add  workflowInputs: {{ nonce: "{NONCE}" }}  to both (docs/ops.md, redeploy)',
                )


def _others(stack: str, root: Path, problems: Problems) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for path in sorted(root.glob("Pulumi.*.yaml")):
        name = path.name.removeprefix("Pulumi.").removesuffix(".yaml")
        if name == stack:
            continue
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as wrong:
            # It may claim what this stack uses.
            problems.add(path.name, f"this stack file cannot be read ({type(wrong).__name__}): correct or remove it")
            continue
        config = content.get("config") if isinstance(content, dict) else None
        yield name, config if isinstance(config, dict) else {}


def _own_claims(draft: Draft) -> Iterator[tuple[str, str]]:
    """Yield the setting that makes a claim, and the claim."""
    with suppress(UnusableError):
        github = draft.get(GithubSettings)
        owner = draft.foreign.get("github:owner")
        yield "github.repository", _github_claim(owner, github.repository, github.environment)
    with suppress(UnusableError):
        yield "orchestrator.app", _orchestrator_claim(draft.get(OrchestratorSettings).app)
    with suppress(UnusableError):
        yield "fly.app", _app_claim(draft.get(FlySettings).app)
        if domain := draft.get(FlySettings).domain:
            yield "fly.domain", _domain_claim(domain)


def _claims_of(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield the claims of a stack file, which may be incomplete."""
    github, orchestrator, fly = (
        group if isinstance(group := config.get(f"{NAMESPACE}:{name}"), dict) else {}
        for name in ("github", "orchestrator", "fly")
    )
    yield _github_claim(config.get("github:owner"), github.get("repository"), github.get("environment"))
    yield _orchestrator_claim(orchestrator.get("app"))
    if fly.get("app"):
        yield _app_claim(fly["app"])
    if fly.get("domain"):
        yield _domain_claim(fly["domain"])


def _github_claim(owner: object, repository: object, environment: object) -> str:
    target = f"{owner}/{repository}/{environment or ''}".rstrip("/")
    # GitHub's names ignore case.
    return f"GitHub secrets of {target.lower()}"


def _orchestrator_claim(app: object) -> str:
    return f"orchestrator {app}"


def _app_claim(app: object) -> str:
    return f"Fly app {app}"


def _domain_claim(domain: object) -> str:
    return f"domain {domain}"
