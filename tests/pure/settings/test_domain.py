"""A name of one's own in a stack's settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import settings
from settings import SettingsError
from settings.fly import FlySettings
from tests.support.stack_config import flat_config

NAME = "prefect.example.com"


def fly(tmp_path: Path, **fly: Any) -> FlySettings:
    tree = settings.parse(flat_config(fly=fly), stack="dev", owner="0123456789ab", root=tmp_path)
    assert tree.fly is not None
    return tree.fly


def problem(tmp_path: Path, **given: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        fly(tmp_path, **given)
    return str(caught.value)


def test_a_name_changes_no_address_until_it_is_used(tmp_path: Path) -> None:
    """Stated alone it is only got ready; with useDomain everybody is given it."""
    assert fly(tmp_path).domain_url == ""
    ready = fly(tmp_path, domain=NAME)
    assert (ready.server_url, ready.domain_url) == ("https://acme-prefect.fly.dev", f"https://{NAME}")
    used = fly(tmp_path, domain=NAME, useDomain=True)
    assert (used.server_url, used.app_url) == (f"https://{NAME}", "https://acme-prefect.fly.dev")


@pytest.mark.parametrize(
    "domain", ["https://prefect.example.com", "Prefect.example.com", "localhost", "127.0.0.1", "*.example.com", "a_b.c"]
)
def test_what_is_no_name_is_refused(tmp_path: Path, domain: str) -> None:
    """Addresses, capitals, wildcards and names without a zone are named with their key."""
    assert f'fly.domain: "{domain}" does not look right' in problem(tmp_path, domain=domain)


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    """Using a name that is not stated; a name of Fly's; a name in the sandbox that is not this machine."""
    assert "fly.useDomain: there is no fly.domain to use" in problem(tmp_path, useDomain=True)
    assert 'fly.domain: "acme.fly.dev" is Fly\'s own' in problem(tmp_path, domain="acme.fly.dev")
    local = problem(tmp_path, domain=NAME, domainUrlTemplate="http://127.0.0.1:1")
    assert 'could not use fly.domainUrlTemplate "http://127.0.0.1:1": the stack states endpoints: real' in local


def test_two_stacks_cannot_have_one_name(tmp_path: Path) -> None:
    """The second one is told which stack has it."""
    other = {"prefect-fly:fly": {"app": "other", "domain": NAME}}
    (tmp_path / "Pulumi.prod.yaml").write_text(yaml.safe_dump({"config": other}))
    text = problem(tmp_path, domain=NAME)
    assert f"fly.domain: stack 'prod' has the same (domain {NAME}): two stacks would undo each other" in text
