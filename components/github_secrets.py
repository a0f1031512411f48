"""Actions secrets of one repository, or of one environment of it.

Owns exactly the names it is given. Does not own the repository, the environment or any other secret. GitHub gives no
way to mark a secret as ours, so a secret of the same name is overwritten; stacks of this repository are kept apart by
settings/.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_github as github

from components.children import child_options
from components.type_tokens import GITHUB_SECRETS


@dataclass(frozen=True, kw_only=True)
class GitHubSecretsArgs:
    """Inputs of GitHubSecrets.

    Attributes:
        repository: name of the repository without its owner, which is the provider's.
        environment: environment that holds the secrets; None for the repository itself.
        values: secret name to value.
    """

    repository: str
    environment: str | None
    values: Mapping[str, pulumi.Input[str]]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("GitHubSecrets needs at least one secret")


class GitHubSecrets(pulumi.ComponentResource):
    """One Actions secret for each name."""

    names: pulumi.Output[list[str]]
    waits_for: list[pulumi.Resource]

    def __init__(self, name: str, args: GitHubSecretsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(GITHUB_SECRETS, name, None, opts)
        # Old and new share one name on GitHub: replacing must delete first, or the deletion would take the new value.
        child = child_options(self, opts, delete_before_replace=True)
        secrets = [_secret(f"{name}-{secret}", secret, value, args, child) for secret, value in args.values.items()]
        self.waits_for = list(secrets)
        self.names = pulumi.Output.all(*[secret.secret_name for secret in secrets])
        self.register_outputs({"names": self.names})


def _secret(
    logical_name: str,
    secret_name: str,
    value: pulumi.Input[str],
    args: GitHubSecretsArgs,
    opts: pulumi.ResourceOptions,
) -> github.ActionsSecret | github.ActionsEnvironmentSecret:
    if args.environment is None:
        return github.ActionsSecret(
            logical_name, repository=args.repository, secret_name=secret_name, value=value, opts=opts
        )
    return github.ActionsEnvironmentSecret(
        logical_name,
        repository=args.repository,
        environment=args.environment,
        secret_name=secret_name,
        value=value,
        opts=opts,
    )
