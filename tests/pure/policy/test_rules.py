from __future__ import annotations

from typing import Any

import pytest
from pulumi_policy import ResourceValidationArgs
from pulumi_policy.deserialize import (
    SPECIAL_SECRET_SIG,
    SPECIAL_SIG_KEY,
    deserialize_properties,
)
from pulumi_policy.policy import PolicyResourceOptions
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, unknown_checking_proxy

from policy.rules import COMMAND, MACHINE, RULES, Resource
from policy.secrecy import Secrecy, plain_credentials

DIGEST = "registry.fly.io/captionacc-prefect@sha256:" + "0" * 64
ACTIONS_SECRET = "github:index/actionsSecret:ActionsSecret"


def secret(value: Any) -> dict[str, Any]:
    return {SPECIAL_SIG_KEY: SPECIAL_SECRET_SIG, "value": value}


def command(**changes: Any) -> dict[str, Any]:
    return {"create": "exec x", "logging": "stderr", "addPreviousOutputInEnv": False, **changes}


def machine(**changes: Any) -> dict[str, Any]:
    config = {
        "image": DIGEST,
        "restart": {"policy": "always"},
        "services": [{"internal_port": 4200, "checks": [{"type": "http"}]}],
    }
    return {"config": {**config, **changes}}


def violations(kind: str, props: dict[str, Any], *, protect: bool = False) -> list[str]:
    """Return the names of the rules that `props` break, as the engine would hand them over."""
    proxied = unknown_checking_proxy(deserialize_properties(props))
    resource = Resource(type=kind, props=proxied, protect=protect)
    return [name for name, rule in RULES.items() for _ in rule(resource)]


@pytest.mark.parametrize(("kind", "props"), [(COMMAND, command()), (MACHINE, machine()), ("other:x:Y", {})])
def test_what_the_program_declares_breaks_no_rule(kind: str, props: dict[str, Any]) -> None:
    """A quiet Command, a good machine and a stranger pass."""
    assert violations(kind, props) == []


@pytest.mark.parametrize(
    ("kind", "props", "rule"),
    [
        (COMMAND, command(logging="stdoutAndStderr"), "commands-are-quiet"),
        (COMMAND, command(addPreviousOutputInEnv=True), "commands-are-quiet"),
        (COMMAND, {"create": "exec x", "logging": "none"}, "commands-are-quiet"),
        (COMMAND, command(delete="exec y"), "bookends-stay-silent"),
        (COMMAND, command(create=None, delete="exec y", triggers=["t"]), "bookends-stay-silent"),
        (MACHINE, machine(image="registry.fly.io/captionacc-prefect:latest"), "images-by-digest"),
        (MACHINE, machine(restart={}), "machines-restart"),
        (MACHINE, machine(restart={"policy": "no"}), "machines-restart"),
        (MACHINE, machine(services=[{"internal_port": 4200, "checks": []}]), "services-are-checked"),
    ],
)
def test_each_rule_sees_its_own_violation_and_no_other(kind: str, props: dict[str, Any], rule: str) -> None:
    """One wrong input breaks exactly the rule that is about it."""
    assert violations(kind, props) == [rule]


def test_a_protected_resource_is_refused() -> None:
    """Whatever it is, protect would block the rollback."""
    assert violations("other:x:Y", {}, protect=True) == ["nothing-protected"]


@pytest.mark.parametrize(
    "props",
    [{"config": UNKNOWN_STRING_VALUE}, machine(image=UNKNOWN_STRING_VALUE), machine(restart=UNKNOWN_STRING_VALUE)],
)
def test_what_a_preview_does_not_know_is_no_violation(props: dict[str, Any]) -> None:
    """An unknown input is judged by the update, not guessed at in the preview."""
    assert violations(MACHINE, props) == []


def plain(kind: str, props: dict[str, Any]) -> list[str]:
    return plain_credentials(kind, deserialize_properties(props, proxy_secrets=True))


@pytest.mark.parametrize(
    ("kind", "props"),
    [
        (COMMAND, {"environment": {"PREFECT_FLY_VERIFY_KEY": secret("verify:pf_x"), "HOME": "/root"}}),
        (COMMAND, {"environment": secret({"PREFECT_FLY_VERIFY_KEY": "verify:pf_x"})}),
        (COMMAND, {"environment": {"PREFECT_FLY_VERIFY_KEY": UNKNOWN_STRING_VALUE}}),
        (ACTIONS_SECRET, {"secretName": "PREFECT_API_KEY", "value": secret("pf_x")}),
        ("pulumi-python:dynamic/fly:Secrets", {"values": secret({"A": "postgres://u:p@h/d"})}),
        ("docker:index/image:Image", {"registry": {"server": "registry.fly.io", "password": secret("t")}}),
        ("docker:index/image:Image", {"registry": secret({"password": "t"})}),
        ("other:x:Y", {"url": "https://captionacc-prefect.fly.dev/api", "list": ["https://a.test/x:y@z"]}),
    ],
)
def test_what_is_secret_or_no_credential_passes(kind: str, props: dict[str, Any]) -> None:
    """Secret values, unknown ones and addresses without a password are left alone."""
    assert plain(kind, props) == []


@pytest.mark.parametrize(
    ("kind", "props", "path"),
    [
        (COMMAND, {"environment": {"PREFECT_FLY_VERIFY_KEY": "verify:pf_x"}}, "environment.PREFECT_FLY_VERIFY_KEY"),
        (COMMAND, {"environment": {"DB": "postgres://u:p@h/d"}}, "environment.DB"),
        (COMMAND, {"create": "psql postgres://u:p@h/d"}, "create"),
        (ACTIONS_SECRET, {"value": "pf_x"}, "value"),
        ("pulumi-python:dynamic/fly:Secrets", {"values": {"A": "b"}}, "values"),
        ("docker:index/image:Image", {"registry": {"password": "t"}}, "registry.password"),
        ("other:x:Y", {"list": [{"url": "https://u:p@h/d"}]}, "list[0].url"),
    ],
)
def test_a_credential_in_clear_is_named_by_its_path(kind: str, props: dict[str, Any], path: str) -> None:
    """By name, by type, or by looking like a URL with a password: it is found and its value is not repeated."""
    assert plain(kind, props) == [path]


def test_what_the_remediation_saw_is_what_the_validation_reports() -> None:
    """Only the remediation is told what is secret; the validation of the same resource reports it, once."""

    def args(*, secrets: bool) -> ResourceValidationArgs:
        props = unknown_checking_proxy(deserialize_properties({"value": "pf_x"}, proxy_secrets=secrets))
        opts = PolicyResourceOptions(False, [], None, [], None, [], None)  # type: ignore[arg-type]
        return ResourceValidationArgs(ACTIONS_SECRET, props, "urn:1", "n", opts, None)

    policy, reported = Secrecy(), []
    assert policy.remember(args(secrets=True)) is None  # type: ignore[func-returns-value]
    policy.report(args(secrets=False), lambda message, _urn: reported.append(message))
    policy.report(args(secrets=False), lambda message, _urn: reported.append(message))
    assert reported == ["its input value holds a credential in clear. Wrap it in pulumi.Output.secret(…)."]
