"""backend: which login the stack's backend needs, from repository variables alone.

Prints `login=<none|aws|google|azure>` into GITHUB_OUTPUT for the steps that follow, and hands PULUMI_BACKEND_URL on
through GITHUB_ENV. No variable at all means Pulumi Cloud with the secret PULUMI_ACCESS_TOKEN.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from ci import runner
from ci.errors import CiError


@dataclass(frozen=True, kw_only=True)
class Login:
    """A cloud's login: what the workflow's steps call it, and the repository variables that it cannot do without."""

    name: str
    variables: tuple[str, ...] = ()


_AWS = Login(name="aws", variables=("AWS_ROLE_TO_ASSUME", "AWS_REGION"))
_GOOGLE = Login(name="google", variables=("GCP_WORKLOAD_IDENTITY_PROVIDER", "GCP_SERVICE_ACCOUNT"))
_AZURE = Login(name="azure", variables=("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_SUBSCRIPTION_ID"))
_LOGINS = {
    "": Login(name="none"),
    "https": Login(name="none"),
    "file": Login(name="none"),
    "s3": _AWS,
    "gs": _GOOGLE,
    "azblob": _AZURE,
}


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """Take no flags: everything is in the environment."""


def run(_args: argparse.Namespace) -> int:
    """Choose the login and check that it can work.

    Raises:
        CiError: the backend is of no known kind, or a variable of its login is not set.
    """
    url = os.environ.get("PULUMI_BACKEND_URL", "").strip()
    login = chosen(url, os.environ)
    runner.output("login", login.name)
    # An empty variable would be an address for some tools; unset means Pulumi Cloud.
    if url:
        runner.environment("PULUMI_BACKEND_URL", url)
    print(f"backend: {url or 'Pulumi Cloud'}, login: {login.name}")
    return 0


def chosen(url: str, environ: Mapping[str, str]) -> Login:
    """Return the login of a backend's address; empty is Pulumi Cloud.

    Raises:
        CiError: the scheme is unknown, or something that the login needs is not set.
    """
    scheme = urlsplit(url).scheme
    if scheme not in _LOGINS or (url and not scheme):
        known = ", ".join(f"{name}://" for name in _LOGINS if name)
        raise CiError(
            f'could not use backend "{url}": it begins with none of {known}. Set the repository variable '
            "PULUMI_BACKEND_URL to one of these, or remove it for Pulumi Cloud."
        )
    if scheme in {"", "https"} and not environ.get("PULUMI_ACCESS_TOKEN"):
        raise CiError(
            f'could not use backend "{url or "Pulumi Cloud"}": the secret PULUMI_ACCESS_TOKEN is not set. Set it, or '
            "the repository variable PULUMI_BACKEND_URL for a backend of your own (docs/ci.md)."
        )
    login = _LOGINS[scheme]
    missing = [name for name in login.variables if not environ.get(name)]
    if missing:
        raise CiError(
            f'could not use backend "{url}": {", ".join(missing)} not set. Set each as a repository variable '
            "(docs/ci.md says what it is)."
        )
    return login
