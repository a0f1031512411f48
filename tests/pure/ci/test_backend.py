"""Which login a backend needs, told from repository variables alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci import __main__ as ci
from ci.backend import chosen
from ci.errors import CiError

AWS = {"AWS_ROLE_TO_ASSUME": "arn:aws:iam::1:role/ci", "AWS_REGION": "us-east-1"}
GOOGLE = {"GCP_WORKLOAD_IDENTITY_PROVIDER": "projects/1/…", "GCP_SERVICE_ACCOUNT": "ci@p.iam.gserviceaccount.com"}
AZURE = {"AZURE_CLIENT_ID": "a", "AZURE_TENANT_ID": "b", "AZURE_SUBSCRIPTION_ID": "c"}
CLOUD = {"PULUMI_ACCESS_TOKEN": "pul-0"}


@pytest.mark.parametrize(
    ("url", "environ", "login"),
    [
        ("", CLOUD, "none"),
        ("https://api.pulumi.com", CLOUD, "none"),
        ("s3://state?region=us-east-1", AWS, "aws"),
        ("gs://state", GOOGLE, "google"),
        ("azblob://state?storage_account=acme", AZURE, "azure"),
        ("file:///tmp/state", {}, "none"),
    ],
)
def test_the_address_chooses_the_login(url: str, environ: dict[str, str], login: str) -> None:
    """Each documented backend has its login, and only the variables of that one are needed."""
    assert chosen(url, environ).name == login


@pytest.mark.parametrize(
    ("url", "environ", "missing"),
    [
        ("", {}, "PULUMI_ACCESS_TOKEN"),
        ("s3://state", {**AWS, "AWS_REGION": ""}, "AWS_REGION not set"),
        ("gs://state", {}, "GCP_WORKLOAD_IDENTITY_PROVIDER, GCP_SERVICE_ACCOUNT not set"),
        ("azblob://state", CLOUD, "AZURE_CLIENT_ID"),
        ("ftp://state", {}, "none of https://, file://, s3://, gs://, azblob://"),
        ("acme-state", {}, "none of https://"),
    ],
)
def test_what_is_missing_is_named(url: str, environ: dict[str, str], missing: str) -> None:
    """Before a cloud is asked: the variable by name, empty ones included, and what to do."""
    with pytest.raises(CiError, match=missing) as refused:
        chosen(url, environ)
    assert str(refused.value).startswith("could not use backend")


@pytest.mark.parametrize(("url", "handed_on"), [("s3://state", "PULUMI_BACKEND_URL=s3://state\n"), ("", "")])
def test_the_steps_that_follow_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, handed_on: str
) -> None:
    """The login is an output, the address a variable; for Pulumi Cloud none is set: an empty one is no address."""
    for name, value in {**AWS, **CLOUD, "PULUMI_BACKEND_URL": url}.items():
        monkeypatch.setenv(name, value)
    for name in ("GITHUB_OUTPUT", "GITHUB_ENV"):
        (tmp_path / name).touch()
        monkeypatch.setenv(name, str(tmp_path / name))
    assert ci.main(["backend"]) == 0
    assert (tmp_path / "GITHUB_OUTPUT").read_text() == f"login={'aws' if url else 'none'}\n"
    assert (tmp_path / "GITHUB_ENV").read_text() == handed_on
