"""Actions secrets of one repository, or of one environment of it.

Owns exactly the names it is given. Does not own the repository, the environment or any other secret. GitHub gives no
way to mark a secret as ours, so a secret of the same name is overwritten; stacks of this repository are kept apart by
settings/.

The owner is configuration of the provider, which compares nothing of it: with the default provider another owner shows
as no change, and a deletion meant for the old owner goes to the new one. So each owner has a provider of its own, which
deletes what it made.

The engine deletes what left the program at the end of an update, when the redeploy has already run. A name that the
redeploy must not see (the auth string, which wins over a key of Prefect Cloud) would still be there. So such a name
hangs on a resource without an object, which stays: when that is replaced, the engine deletes the secret before. When
something fails between the two, the engine deletes the secret again the next time, and GitHub's provider takes its
absence for a failure. So each name has a resource of its own, and nothing else is under way then.
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
        removable: names among them that another setting of the stack may take away.
        absent: names that it has taken away; they are gone before what waits for these secrets goes on.
        removed_after: what else is done before one is taken away.
    """

    owner: str
    provider: pulumi.ProviderResource
    repository: str
    environment: str | None
    values: Mapping[str, pulumi.Input[str]]
    removable: Sequence[str] = ()
    absent: Sequence[str] = ()
    removed_after: Sequence[pulumi.Resource] = ()

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
            self, opts, delete_before_replace=True, provider=args.provider, replacement_trigger=args.owner.lower()
        )
        stay = [each for each in args.values if each not in args.removable]
        secrets = [_secret(f"{name}-{each}", each, args.values[each], args, child) for each in stay]
        names: dict[str, pulumi.Stash] = {}
        for each in (*args.removable, *args.absent):
            alone = child_options(
                self,
                opts,
                after=[*secrets, *args.removed_after, *names.values()],
                delete_before_replace=True,
                replacement_trigger=each in args.values,
            )
            names[each] = pulumi.Stash(f"{name}-{each}", input=each, opts=alone)
        secrets += [
            _secret(f"{name}-{each}", names[each].output, args.values[each], args, child) for each in args.removable
        ]
        self.waits_for = [*secrets, *names.values()]
        self.names = pulumi.Output.all(*[secret.secret_name for secret in secrets])
        self.register_outputs({"names": self.names})


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
    secret_name: pulumi.Input[str],
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
