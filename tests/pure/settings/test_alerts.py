"""Settings of alerts, and what addresses become."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import settings
from settings import Settings, SettingsError
from settings.alert_channels import block_of
from settings.server_groups import ChannelSettings
from tests.support.stack_config import flat_config

SLACK = "https://hooks.slack.com/services/T0/B0/c4nary"
GOOD = {
    "slack": SLACK,
    "teams": "https://prod-1.westeurope.logic.azure.com:443/workflows/abc/triggers/manual/paths/invoke?sp=x&sig=c4nary",
    "discord": "https://discord.com/api/webhooks/123456/c4nary-c4nary",
    "mattermost": "https://chat.example.com/team/hooks/c4naryc4naryc4naryc4naryc4",
    "pagerduty": "c4naryc4naryc4nary@c4nary-key",
    "sendgrid": "SG.c4nary.c4naryc4naryc4nary",
    "webhook": "https://example.com/hooks/c4nary?x=1",
}


def parse(tmp_path: Path, **changes: Any) -> Settings:
    return settings.parse(flat_config(**changes), stack="dev", owner="0123456789ab", root=tmp_path)


def channel(kind: str = "slack", **more: Any) -> dict[str, Any]:
    email = {"sender": "a@b.c", "recipients": ["d@e.f"]} if kind == "sendgrid" else {}
    return {"channels": {"ops": {"kind": kind, "hears": ["failed"], **email, **more}}}


def address(text: str, name: str = "ops") -> str:
    return json.dumps({name: text})


@pytest.mark.parametrize("kind", GOOD)
def test_an_address_of_each_kind_is_taken_and_stays_out_of_the_repr(tmp_path: Path, kind: str) -> None:
    """Settings can be printed, blocks as well."""
    tree = parse(tmp_path, alerts=channel(kind), alertAddresses=address(GOOD[kind]))
    block = block_of("ops", tree.alerts.channels["ops"], tree.alert_addresses["ops"])
    assert "c4nary" in json.dumps(block.data)
    assert "c4nary" not in repr(tree) + repr(block)


@pytest.mark.parametrize("kind", GOOD)
def test_an_address_of_another_kind_is_refused_and_not_repeated(tmp_path: Path, kind: str) -> None:
    """The sentence names the key and says what an address looks like."""
    with pytest.raises(SettingsError) as caught:
        parse(tmp_path, alerts=channel(kind), alertAddresses=address("c4nary c4nary"))
    assert "- alertAddresses.ops: " in str(caught.value)
    assert "address" in str(caught.value).partition("alertAddresses.ops: ")[2]
    assert "c4nary" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"alerts": channel()}, 'alertAddresses.ops: it is required. Set it with "pulumi config set --secret --path'),
        ({"alertAddresses": address(SLACK)}, "alertAddresses.ops: there is no alerts.channels.ops"),
        ({"alertAddresses": "https://x/c4nary"}, "alertAddresses: give names with an address each"),
        ({"alertAddresses": "[" * 100_000}, "alertAddresses: give names with an address each"),
        ({"alerts": channel("fax")}, "alerts.channels.ops.kind: 'fax' is not one of slack, teams"),
        (
            {"alerts": channel(loud=True)},
            "alerts.channels.ops.loud: no such setting. Known here: hears, kind, recipients",
        ),
        ({"alerts": channel(hears=[])}, "alerts.channels.ops.hears: it needs at least 1 entry"),
        ({"alerts": channel(hears=["all"])}, "alerts.channels.ops.hears[0]: 'all' is not one of failed"),
        ({"alerts": channel(sender="a@b.c")}, "alerts.channels.ops: sender and recipients are for kind sendgrid"),
        (
            {"alerts": channel("sendgrid", recipients=[])},
            "alerts.channels.ops: kind sendgrid needs sender and recipients",
        ),
        (
            {"alerts": {"channels": {"Ops!": {"kind": "slack", "hears": ["late"]}}}},
            "alerts.channels.Ops!: a channel's name",
        ),
        ({"alerts": {"stuckMinutes": 0}}, "alerts.stuckMinutes: 0 is below 1"),
        (
            {"alerts": channel("webhook"), "alertAddresses": address("http://127.0.0.1:1/c4nary")},
            "alertAddresses.ops: the stack states endpoints: real, so the address must be on another machine",
        ),
        (
            {"endpoints": "sandbox", "alerts": channel(), "alertAddresses": address(SLACK)},
            "alertAddresses.ops: the stack states endpoints: sandbox, which does not talk to slack",
        ),
        (
            {"endpoints": "sandbox", "alerts": channel("webhook"), "alertAddresses": address("https://h.test/c4nary")},
            "alertAddresses.ops: the stack states endpoints: sandbox, so the address must be on this machine",
        ),
        ({"variables": {"a b": 1}}, "variables.a b: a variable's name has lower-case letters"),
        ({"variables": {"a": "x" * 5000}}, "variables.a: a value has at most 5000 characters"),
        ({"variables": "a"}, "variables: give names with a value each"),
        ({"workPools": {"prefect-x": {}}}, "workPools.prefect-x: a work pool's name"),
        ({"workPools": {"p": {"type": 1}}}, "workPools.p.type: 1 is not text"),
        ({"workPools": {"p": "process"}}, "workPools.p: give a group of settings, not a single value"),
        ({"concurrencyLimits": {"global": {"db": {}}}}, "concurrencyLimits.global.db.limit: it is required"),
        ({"concurrencyLimits": {"tags": {"tag:x": 1}}}, "concurrencyLimits.tags.tag:x: a limit's name"),
        ({"concurrencyLimits": {"tags": {"gpu": "1"}}}, "concurrencyLimits.tags.gpu: '1' is not a whole number"),
        (
            {"fly": {"private": True}, "variables": {"a": 1}},
            "variables: the program keeps it over the server's address, which it does not reach with fly.private",
        ),
        ({"logins": ["pulumi"]}, '"pulumi" is the name of a consumer\'s own key'),
    ],
)
def test_a_wrong_setting_is_named_with_the_reason(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    """One sentence that names the key, and never an address."""
    with pytest.raises(SettingsError) as caught:
        parse(tmp_path, **changes)
    assert sentence in str(caught.value)
    assert "c4nary" not in str(caught.value)


def test_a_webhooks_address_is_in_the_secret_part_of_its_block() -> None:
    """The block's URL is shown in the UI, so that only a placeholder stands there."""
    block = block_of("ops", ChannelSettings(kind="webhook", hears=("failed",)), GOOD["webhook"])
    assert block.data["secrets"] == {"address": GOOD["webhook"]}
    assert "c4nary" not in json.dumps({key: value for key, value in block.data.items() if key != "secrets"})


def test_a_mattermost_address_is_taken_apart() -> None:
    """Host, port, path and token, as its block wants them."""
    block = block_of("ops", ChannelSettings(kind="mattermost", hears=("failed",)), GOOD["mattermost"])
    assert block.data == {
        "hostname": "chat.example.com",
        "port": 443,
        "secure": True,
        "token": "c4naryc4naryc4naryc4naryc4",
        "path": "/team",
    }


def test_links_lead_into_the_ui_of_the_server_or_of_the_workspace(tmp_path: Path) -> None:
    """Prefect Cloud's UI has another address than its API; of an unknown one there is none."""
    cloud = {"mode": "cloud", "cloudApiKey": "pnu_x", "databaseUrl": "", "fly": {"org": None}}
    api = "https://api.prefect.cloud/api/accounts/a/workspaces/w"
    assert parse(tmp_path).ui_url == "https://acme-prefect.fly.dev"
    assert parse(tmp_path, **cloud, cloud={"apiUrl": api}).ui_url == "https://app.prefect.cloud/account/a/workspace/w"
    assert parse(tmp_path, **cloud, cloud={"apiUrl": api.replace("prefect.cloud", "cloud.test")}).ui_url == ""
