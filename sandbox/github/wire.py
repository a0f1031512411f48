"""How GitHub's objects look on the wire; times are whole seconds there."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sandbox.github.models import Repository, Run, Secret, Variable, Vault, Workflow

LOGIN = "sandbox"
"""The account that the sandbox's token acts as: what /user answers and who dispatches runs."""


def moment(at: float) -> str:
    """Return unix seconds as GitHub prints them."""
    return datetime.fromtimestamp(int(at), tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def organisation(login: str, number: int) -> dict[str, Any]:
    """An organisation, or the account that owns the token."""
    return {"login": login, "id": number, "node_id": f"O_{number}", "type": "Organization", "url": f"/orgs/{login}"}


def repository(each: Repository, base: str) -> dict[str, Any]:
    """A repository."""
    return {
        "id": each.id,
        "node_id": f"R_{each.id}",
        "name": each.name,
        "full_name": each.full_name,
        "private": True,
        "owner": {"login": each.owner},
        "html_url": f"{base}/{each.full_name}",
        "url": f"{base}/repos/{each.full_name}",
        "default_branch": "main",
        "archived": False,
        "disabled": False,
    }


def public_key(vault: Vault) -> dict[str, str]:
    """The key that values must be sealed with."""
    return {"key_id": vault.key_id, "key": vault.public_key}


def secret(each: Secret) -> dict[str, str]:
    """A secret without its value: that is never given out."""
    return {"name": each.name, "created_at": moment(each.created_at), "updated_at": moment(each.updated_at)}


def variable(each: Variable) -> dict[str, str]:
    """A variable."""
    return {
        "name": each.name,
        "value": each.value,
        "created_at": moment(each.created_at),
        "updated_at": moment(each.updated_at),
    }


def environment(name: str, number: int) -> dict[str, Any]:
    """A deployment environment."""
    return {"id": number, "name": name, "protection_rules": [], "deployment_branch_policy": None}


def workflow(each: Workflow, owner: Repository, base: str) -> dict[str, Any]:
    """A workflow."""
    return {
        "id": each.id,
        "node_id": f"W_{each.id}",
        "name": each.name,
        "path": f".github/workflows/{each.file}",
        "state": "disabled_manually" if each.disabled else "active",
        "url": f"{base}/repos/{owner.full_name}/actions/workflows/{each.id}",
        "html_url": f"{base}/{owner.full_name}/blob/main/.github/workflows/{each.file}",
    }


def run_urls(run: Run, owner: Repository, base: str) -> dict[str, str]:
    """The addresses of a run: for programs and for people."""
    return {
        "url": f"{base}/repos/{owner.full_name}/actions/runs/{run.id}",
        "html_url": f"{base}/{owner.full_name}/actions/runs/{run.id}",
    }


def run(each: Run, owner: Repository, base: str) -> dict[str, Any]:
    """A workflow run."""
    flow = next(known for known in owner.workflows if known.id == each.workflow_id)
    urls = run_urls(each, owner, base)
    return {
        "id": each.id,
        "node_id": f"WFR_{each.id}",
        "name": flow.name,
        "display_title": each.title,
        "path": f".github/workflows/{flow.file}",
        "run_number": each.number,
        "run_attempt": 1,
        "event": each.event,
        "status": each.status,
        "conclusion": each.conclusion,
        "workflow_id": each.workflow_id,
        "head_branch": each.head_branch,
        "head_sha": each.head_sha,
        "created_at": moment(each.created_at),
        "updated_at": moment(each.updated_at),
        "run_started_at": moment(each.started_at or each.created_at),
        "actor": {"login": LOGIN},
        "triggering_actor": {"login": LOGIN},
        **urls,
        "jobs_url": f"{urls['url']}/jobs",
        "workflow_url": f"{base}/repos/{owner.full_name}/actions/workflows/{flow.id}",
    }


def job(each: Run, owner: Repository, base: str) -> dict[str, Any]:
    """The one job that every run of the sandbox has."""
    done = each.status == "completed"
    return {
        "id": each.id * 10,
        "run_id": each.id,
        "name": "deploy",
        "status": each.status,
        "conclusion": each.conclusion,
        "started_at": moment(each.started_at or each.created_at),
        "completed_at": moment(each.updated_at) if done else None,
        "html_url": f"{run_urls(each, owner, base)['html_url']}/job/{each.id * 10}",
        "steps": [{"name": "Deploy", "status": each.status, "conclusion": each.conclusion, "number": 1}],
    }
