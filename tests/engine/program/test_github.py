"""The repository's secrets through the real GitHub plugin: owners, renames, environments, secrets removed by hand."""

from __future__ import annotations

import pytest

from sandbox.captionacc import REPOSITORY
from sandbox.github.models import Vault
from tests.engine.program.conftest import Deployment

pytestmark = pytest.mark.engine

OTHER = "elsewhere/captionacc"
ENVIRONMENT = "production"


def vault_of(deployment: Deployment, repository: str = REPOSITORY) -> Vault:
    """What a repository keeps."""
    return deployment.sandbox.github.repository(repository).vault


def own_the_other(deployment: Deployment) -> Vault:
    """Let another owner have a repository of the same name with the same workflow."""
    github = deployment.sandbox.github
    made = github.add_repository(*OTHER.split("/"))
    made.workflows.extend(github.repository(REPOSITORY).workflows)
    return made.vault


@pytest.mark.long
def test_another_owner_is_seen_without_a_refresh_and_the_old_one_is_left_clean(deployment: Deployment) -> None:
    """The preview shows the three secrets; `up` writes them at the new owner and removes exactly them at the old."""
    deployment.engine.up()
    theirs = own_the_other(deployment)
    deployment.engine.set({"github:owner": "elsewhere"})
    seen = len(deployment.engine.text())
    deployment.engine.preview()
    shown = deployment.engine.text()[seen:]
    assert all(f"repository-{name} replace" in shown for name in deployment.ours), shown
    deployment.engine.up()
    assert set(theirs.secrets) == deployment.ours
    assert set(vault_of(deployment).secrets) == {"SUPABASE_SERVICE_KEY"}
    assert deployment.engine.preview(expect_no_changes=True, refresh=True) == {}
    deployment.engine.destroy()
    assert not theirs.secrets


@pytest.mark.long
def test_an_old_owner_that_cannot_be_reached_any_more_is_let_go_by_a_refresh(deployment: Deployment) -> None:
    """Its repository is gone: `up --refresh` forgets what was there and writes at the new owner."""
    deployment.engine.up()
    theirs = own_the_other(deployment)
    del deployment.sandbox.github.repositories[REPOSITORY]
    deployment.engine.set({"github:owner": "elsewhere"})
    deployment.engine.up(refresh=True)
    assert set(theirs.secrets) == deployment.ours
    assert deployment.engine.preview(expect_no_changes=True, refresh=True) == {}


def test_a_renamed_repository_and_another_case_lose_no_secret(deployment: Deployment) -> None:
    """A rename, a transfer to another owner and another spelling: one repository all the time, whose secrets stay."""
    deployment.engine.up()
    vault, before = vault_of(deployment), REPOSITORY
    for full_name in ("captionacc/Captions", "elsewhere/Captions", "Elsewhere/captions"):
        deployment.sandbox.github.move(before, full_name)
        before = full_name
        owner, _, name = full_name.partition("/")
        deployment.configure(github={"repository": name})
        deployment.engine.set({"github:owner": owner})
        deployment.engine.up()
        assert {*deployment.ours, "SUPABASE_SERVICE_KEY"} == set(vault.secrets), full_name
        assert deployment.engine.preview(expect_no_changes=True, refresh=True) == {}


def test_no_token_enters_the_state_by_the_provider(deployment: Deployment) -> None:
    """The plugin reads GITHUB_TOKEN for itself: the provider of the state has the owner and no token."""
    deployment.engine.up()
    (provider,) = [item for item in deployment.engine.resources() if item["type"] == "pulumi:providers:github"]
    assert provider["inputs"]["owner"] == "captionacc"
    assert "token" not in {*provider["inputs"], *provider["outputs"]}


def test_a_secret_removed_by_hand_comes_back(deployment: Deployment) -> None:
    """`up --refresh` writes it again; a plain `up` that has to write it anyway writes it as well."""
    deployment.engine.up()
    secrets = vault_of(deployment).secrets
    del secrets["PREFECT_API_KEY"]
    assert deployment.engine.up(refresh=True)
    assert set(secrets) > deployment.ours
    del secrets["PREFECT_API_KEY"]
    deployment.configure(keys={"current": 2, "accepted": [1, 2]})
    deployment.engine.up()
    assert set(secrets) > deployment.ours


@pytest.mark.long
def test_secrets_of_an_environment(deployment: Deployment) -> None:
    """Written into the environment's vault alone, seen and put back when one is removed, gone after destroy."""
    repository = deployment.sandbox.github.repository(REPOSITORY)
    vault = repository.environments[ENVIRONMENT] = Vault()
    deployment.configure(github={"environment": ENVIRONMENT})
    deployment.engine.up()
    assert set(vault.secrets) == deployment.ours
    assert set(repository.vault.secrets) == {"SUPABASE_SERVICE_KEY"}
    del vault.secrets["PREFECT_API_URL"]
    assert deployment.engine.preview(refresh=True)["create"] == 1
    deployment.engine.up(refresh=True)
    assert set(vault.secrets) == deployment.ours
    deployment.engine.destroy()
    assert not vault.secrets


def test_an_environment_that_is_missing_stops_before_anything_is_made(deployment: Deployment) -> None:
    """One error that names the environment, and no app, secret or monitor was made."""
    deployment.configure(github={"environment": "prodution"})
    text = deployment.up_fails()
    assert 'environment "prodution"' in text
    assert deployment.changes() == []
