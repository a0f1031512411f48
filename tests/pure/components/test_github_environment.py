"""The program's one look at an API: whether the GitHub environment is there."""

from __future__ import annotations

import pulumi
import pytest

from clients.endpoints import World
from clients.github import GitHubClient, GitHubError
from components.github_environment import MissingEnvironmentError, require_environment


class GitHub:
    """Knows one environment."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def require_environment(self, repository: str, environment: str) -> None:
        """Refuse every other one."""
        self.asked.append((repository, environment))
        if environment != "production":
            raise GitHubError(f'find environment "{environment}"', "there is none")


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> GitHub:
    double = GitHub()
    monkeypatch.setattr(GitHubClient, "from_environment", lambda *_given, **_options: double)
    return double


def test_an_environment_that_is_not_there_is_an_error_of_the_program(github: GitHub) -> None:
    """The client's sentence is kept; one that is there passes."""
    require_environment(World.SANDBOX, "acme/app", "production")
    with pytest.raises(MissingEnvironmentError, match='could not find environment "staging": there is none'):
        require_environment(World.SANDBOX, "acme/app", "staging")
    assert github.asked == [("acme/app", "production"), ("acme/app", "staging")]


def test_nobody_is_asked_without_an_environment_or_in_a_preview(
    github: GitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The repository itself may keep the secrets, and a fork's preview has no token."""
    require_environment(World.SANDBOX, "acme/app", None)
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: True)
    require_environment(World.SANDBOX, "acme/app", "staging")
    assert github.asked == []
