"""The environment that is to keep the repository's secrets: looked at before anything is made.

GitHub makes no environment when a secret is written to one that is missing, and the secrets come last: without this
look a wrong name would fail an `up` that has made the whole server already.
"""

from __future__ import annotations

import pulumi

from clients.endpoints import World
from clients.github import GitHubClient, GitHubError
from clients.transport import no_progress


class MissingEnvironmentError(pulumi.RunError):
    """The environment is missing or cannot be seen; the text says what to do."""


def require_environment(world: World, repository: str, environment: str | None) -> None:
    """Fail unless the environment exists. A preview asks nobody: a fork's has no token.

    Args:
        world: the world of the stack.
        repository: owner/name.
        environment: its name; None when the repository itself keeps the secrets.

    Raises:
        MissingEnvironmentError: there is none, or GitHub cannot be asked.
    """
    if environment is None or pulumi.runtime.is_dry_run():
        return
    try:
        github = GitHubClient.from_environment(world, progress=no_progress)
        github.require_environment(repository, environment)
    except GitHubError as error:
        raise MissingEnvironmentError(str(error)) from error
