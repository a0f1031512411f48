"""`logins`: names, or groups with rights, an end and a hash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import settings
from settings import Settings, SettingsError
from tests.support.stack_config import flat_config


def parse(tmp_path: Path, **changes: Any) -> Settings:
    return settings.parse(flat_config(**changes), stack="dev", owner="0123456789ab", root=tmp_path)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"logins": [{"rights": "viewer"}]}, "logins[0].name: it is required. Set it, for example name: anna"),
        (
            {"logins": [{"name": "a", "rights": "owner"}]},
            "logins[0].rights: 'owner' is not one of viewer, operator, admin",
        ),
        (
            {"logins": [{"name": "a", "right": "viewer"}]},
            "logins[0].right: no such setting. Known here: expires, name, ",
        ),
        ({"logins": [{"name": "a", "expires": "soon"}]}, 'logins[0].expires: "soon" is no date such as 2027-01-31'),
        ({"logins": [{"name": "a", "expires": "2027-01-31T10:00:00"}]}, "no time with its zone"),
        ({"logins": [{"name": "a", "expires": "2027-02-30"}]}, '"2027-02-30" is no date'),
        ({"logins": [{"name": "a", "sha256": "the-key"}]}, "logins[0].sha256: it must be 64 hex digits"),
        ({"logins": ["a", {"name": "a", "rights": "viewer"}]}, "logins: a name stands twice"),
        ({"logins": [{"name": "verify"}]}, '"verify" is the name of a consumer\'s own key'),
    ],
)
def test_a_wrong_login_is_named_with_the_reason(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    """Each sentence names the entry and its key."""
    with pytest.raises(SettingsError) as caught:
        parse(tmp_path, **changes)
    assert sentence in str(caught.value)
    assert "the-key" not in str(caught.value)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2027-01-31", "2027-01-31T00:00:00Z"),
        ("2027-01-31T18:00:00Z", "2027-01-31T18:00:00Z"),
        ("2027-01-31T18:00:00+02:00", "2027-01-31T16:00:00Z"),
        ("2027-01-31 00:00:00 +0000 UTC", "2027-01-31T00:00:00Z"),
        ("2027-01-31 18:00:00 +0200 +0200", "2027-01-31T16:00:00Z"),
    ],
)
def test_an_expiry_is_a_date_or_a_time(tmp_path: Path, written: str, meant: str) -> None:
    """Also as the Pulumi CLI hands over what stands in YAML without quotes; kept in UTC."""
    (login,) = parse(tmp_path, logins=[{"name": "anna", "expires": written}]).logins
    assert (login.name, login.rights, login.expires) == ("anna", "admin", meant)
