"""Actions secrets of one repository, or of one environment of it.

Owns exactly the names it is given. Does not own the repository, the environment or any other secret. GitHub gives no
way to mark a secret as ours, so a secret of the same name is overwritten; stacks of this repository are kept apart by
settings/.

The owner is configuration of the provider, which compares nothing of it: with the default provider another owner shows
as no change, and a deletion meant for the old owner goes to the new one. So each owner has a provider of its own, which
deletes what it made.

The engine deletes what left the program at the end of an update, when the redeploy has already run. A name that the
redeploy must not see (the auth string, which wins over a key of Prefect Cloud) would still be there. So all names but
the first take theirs from the first one's: when that is replaced, the engine deletes those that hang on it before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import pulumi
import pulumi_github as github

from components.children import child_options
from components.type_tokens import GITHUB_SECRETS


@dataclass(frozen=True, kw_only=True)
class GitHubSecretsArgs:
    """Inputs of GitHubSecrets.

    Attributes:
        owner: owner of the repository, in any case.
        provider: the provider of that owner.
        repository: name of the repository without its owner.
        environment: environment that holds the secrets; None for the repository itself.
        values: secret name to value.
        absent: names that must be gone before what waits for these secrets goes on.
    """

    owner: str
    provider: pulumi.ProviderResource
    repository: str
    environment: str | None
    values: Mapping[str, pulumi.Input[str]]
    absent: Sequence[str] = ()

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
        child = child_options(
            self, opts, delete_before_replace=True, provider=args.provider, replacement_trigger=_trigger(args)
        )
        first, *others = args.values
        secrets = [_secret(f"{name}-{first}", first, args, child)]
        secrets += [_secret(f"{name}-{other}", other, args, child, after=secrets[0]) for other in others]
        self.waits_for = list(secrets)
        self.names = pulumi.Output.all(*[secret.secret_name for secret in secrets])
        self.register_outputs({"names": self.names})


def _trigger(args: GitHubSecretsArgs) -> list[str]:
    """Return what replaces all secrets when it changes."""
    return [args.owner.lower(), *sorted(args.absent)]


def github_provider(owner: str, opts: pulumi.ResourceOptions) -> pulumi.ProviderResource:
    """Make the provider of an owner. The engine starts its plugin at once, and starts nothing else meanwhile."""
    # Not github.Provider: that one writes the token of the environment into the state. The plugin reads it for itself.
    stated = pulumi.runtime.config.CONFIG.get()
    inputs: dict[str, pulumi.Input[str]] = {
        key.removeprefix("github:"): pulumi.Output.secret(value) if pulumi.runtime.is_config_secret(key) else value
        for key, value in stated.items()
        if key.startswith("github:")
    }
    own = pulumi.ResourceOptions(version=version("pulumi-github"))
    return pulumi.ProviderResource("github", f"github-{owner.lower()}", inputs, pulumi.ResourceOptions.merge(opts, own))


def _secret(
    logical_name: str,
    name: str,
    args: GitHubSecretsArgs,
    opts: pulumi.ResourceOptions,
    after: github.ActionsSecret | github.ActionsEnvironmentSecret | None = None,
) -> github.ActionsSecret | github.ActionsEnvironmentSecret:
    secret_name = after.secret_name.apply(lambda _: name) if after else name
    value = args.values[name]
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
