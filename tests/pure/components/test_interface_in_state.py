"""Everything that is written into users' state, in one table.

A destroy of a state that an older version wrote runs with today's code: it loads provider classes by these paths and
runs Commands with these texts. A line of this table may be added. To change or remove one, keep the old form working
first (a shim as in `ops detach`, an alias for a URN), and see that tests/engine/states holds a state with the old form.
"""

from __future__ import annotations

import argparse
import base64
import importlib
import inspect
import pickletools
import pkgutil
from typing import Any

import pulumi
from pulumi.dynamic.dynamic import serialize_provider

import providers
from clients import names
from components import type_tokens
from ops.__main__ import VERBS, module_of
from tests.support.recording import run_program
from tests.support.stack_config import flat_config

_REDEPLOY = (
    "--endpoints",
    "--by",
    "--orchestrator-app",
    "--repository",
    "--workflow",
    "--ref",
    "--inputs",
    "--timeout",
)
VERBS_AND_FLAGS = {
    "migrate": {
        *("--endpoints", "--server-app", "--image", "--region", "--env"),
        *("--min-secrets-version", "--owner", "--timeout"),
    },
    "verify-domain": {"--endpoints", "--server-app", "--domain", "--server-url", "--timeout"},
    "verify-server": {
        *("--endpoints", "--server-url", "--server-app"),
        *("--accepted-keys", "--keys-generation", "--timeout", "--reach"),
    },
    "redeploy": {*_REDEPLOY},
    "send-test-alert": {"--endpoints", "--api-url", "--automation", "--resource", "--timeout"},
    "verify": {
        *("--endpoints", "--mode", "--orchestrator-app", "--health-url", "--server-url", "--server-app"),
        *("--key", "--since", "--timeout", "--client-version", "--old-client", "--reach"),
    },
    # The last two are the spellings in states of before 0.1.0.
    "detach": {*_REDEPLOY, "--health-url", "--org", "--mode", "--app"},
    "emergency-detach": {"--endpoints", "--stack", "--orchestrator-app", "--health-url", "--timeout"},
    "init": {
        *("--endpoints", "--org", "--orchestrator-app", "--health-url", "--server-app", "--url-template", "--region"),
        *("--image", "--repository", "--workflow", "--nonce-input", "--uptime", "--secrets-provider"),
        *("--domain", "--private"),
    },
    "doctor": {
        *("--endpoints", "--stack", "--org", "--orchestrator-app", "--health-url"),
        *("--server-app", "--server-url", "--reach", "--domain", "--repository", "--workflow"),
    },
    "status": {"--watch", "--json"},
    "login": {"--login", "--new"},
    "audit": {"--since", "--login", "--all", "--limit", "--json"},
    "backup": {"--reach"},
    "restore": {"--replace", "--snapshot", "--image", "--list", "--timeout", "--reach"},
}
VARIABLES = {
    "FLY_TOKEN": "FLY_API_TOKEN",
    "GITHUB_TOKEN": "GITHUB_TOKEN",
    "BETTER_STACK_TOKEN": "BETTERSTACK_API_TOKEN",
    "VERIFY_KEY": "PREFECT_FLY_VERIFY_KEY",
    "SERVER_KEY": "PREFECT_FLY_SERVER_KEY",
    "SKIP_DETACH": "PREFECT_FLY_SKIP_DETACH",
    "OWNER_PREFIX": "PREFECT_FLY_OWNER_",
}
PROVIDERS = {
    "pulumi-python:dynamic/betterstack:Monitor": "providers.better_stack_monitor MonitorProvider",
    "pulumi-python:dynamic/credentials:ApiKey": "providers.api_key ApiKeyProvider",
    "pulumi-python:dynamic/credentials:KeyRing": "providers.key_ring KeyRingProvider",
    "pulumi-python:dynamic/fly:App": "providers.fly_app FlyAppProvider",
    "pulumi-python:dynamic/fly:Certificate": "providers.fly_certificate FlyCertificateProvider",
    "pulumi-python:dynamic/fly:IpAddress": "providers.fly_ip_address FlyIpAddressProvider",
    "pulumi-python:dynamic/fly:Machine": "providers.fly_machine FlyMachineProvider",
    "pulumi-python:dynamic/fly:Secrets": "providers.fly_secrets FlySecretsProvider",
    "pulumi-python:dynamic/prefect:Automation": "providers.prefect_automation AutomationProvider",
    "pulumi-python:dynamic/prefect:ConcurrencyLimit": "providers.prefect_concurrency_limit ConcurrencyLimitProvider",
    "pulumi-python:dynamic/prefect:NotificationBlock": "providers.prefect_notification_block NotificationBlockProvider",
    "pulumi-python:dynamic/prefect:Variable": "providers.prefect_variable VariableProvider",
    "pulumi-python:dynamic/prefect:WorkPool": "providers.prefect_work_pool WorkPoolProvider",
    "pulumi-python:dynamic/prefect:PublishedKeys": "providers.published_keys PublishedKeysProvider",
}
COMPONENTS = {
    "prefectfly:credentials:ApiKeys",
    "prefectfly:docker:DockerImage",
    "prefectfly:fly:FlyApp",
    "prefectfly:fly:FlyMachines",
    "prefectfly:fly:FlySecrets",
    "prefectfly:github:GitHubSecrets",
    "prefectfly:orchestrator:OrchestratorRedeploy",
    "prefectfly:orchestrator:OrchestratorWiring",
    "prefectfly:prefect:Alerts",
    "prefectfly:prefect:PrefectServer",
    "prefectfly:prefect:ServerObjects",
    "prefectfly:uptime:UptimeMonitor",
}
_HOW = (
    "exec .venv/bin/python -m ops {verb} --endpoints real --by workflow --orchestrator-app acme-orchestrator "
    "--repository acme/acme --workflow deploy-orchestrator.yml --ref main --timeout 1200"
)
_APP = "--orchestrator-app acme-orchestrator"
_HEALTH = "--health-url https://acme-orchestrator.fly.dev/health"
COMMANDS = {
    "acme-prefect-migrate": (
        "exec .venv/bin/python -m ops migrate --endpoints real --server-app acme-prefect --image {image} --region ewr "
        "--env PREFECT_FLY_DATABASE_LIMIT_MB=500 --env PREFECT_FLY_DATABASE_REQUIRE_TLS=true "
        "--env PREFECT_FLY_DATABASE_SCHEMA=prefect --env PREFECT_FLY_KEEP_SNAPSHOTS=2 "
        "--env PREFECT_FLY_MIGRATE_TIMEOUT=300 --env PREFECT_FLY_SNAPSHOT_TOO_LARGE=refuse "
        "--min-secrets-version 7 --owner {owner} --timeout 360"
    ),
    "acme-prefect-verify": (
        "exec .venv/bin/python -m ops verify-server --endpoints real --server-url https://acme-prefect.fly.dev "
        "--server-app acme-prefect --accepted-keys admin,github,orchestrator,pulumi,verify --keys-generation 1000 "
        "--timeout 300"
    ),
    "acme-orchestrator-detach": _HOW.format(verb="detach") + f" {_HEALTH} --org acme",
    "acme-orchestrator-redeploy": _HOW.format(verb="redeploy"),
    "acme-orchestrator-verify": (
        f"exec .venv/bin/python -m ops verify --endpoints real --mode self-hosted {_APP} {_HEALTH} --server-url "
        "https://acme-prefect.fly.dev --server-app acme-prefect --key orchestrator --since 12.5 --timeout 300"
    ),
}
DOMAIN = {
    "acme-prefect-domain": (
        "exec .venv/bin/python -m ops verify-domain --endpoints real --server-app acme-prefect "
        "--domain prefect.example.com --server-url https://prefect.example.com --timeout 900"
    ),
    **{
        name: COMMANDS[name].replace("https://acme-prefect.fly.dev", "https://prefect.example.com")
        for name in ("acme-prefect-verify", "acme-orchestrator-verify")
    },
}
PRIVATE = {
    name: COMMANDS[name]
    .replace("https://acme-prefect.fly.dev", "http://acme-prefect.flycast")
    .replace("admin,github,orchestrator", "admin,orchestrator")
    + " --reach machine"
    for name in ("acme-prefect-verify", "acme-orchestrator-verify")
}
TESTED_CHANNEL = {
    "acme-prefect-ops-test": (
        "exec .venv/bin/python -m ops send-test-alert --endpoints real --api-url https://acme-prefect.fly.dev/api "
        "--automation 'ops: test message (dev)' --resource prefect-fly-{owner}.ops --timeout 180"
    )
}
OLDER_CLIENT = {
    "acme-orchestrator-verify": COMMANDS["acme-orchestrator-verify"] + " --client-version 3.4.25 --old-client warn"
}
CLOUD_COMMANDS = {
    "acme-orchestrator-detach": _HOW.format(verb="detach") + f" {_HEALTH}",
    "acme-orchestrator-redeploy": _HOW.format(verb="redeploy"),
    "acme-orchestrator-verify": (
        f"exec .venv/bin/python -m ops verify --endpoints real --mode cloud {_APP} {_HEALTH} --since 12.5 --timeout 300"
    ),
}
CLOUD = {
    "mode": "cloud",
    "cloud": {"apiUrl": "https://api.prefect.cloud/api/accounts/a/workspaces/w"},
    "cloudApiKey": "pnu_secret",
}


def flags_of(verb: str) -> set[str]:
    parser = argparse.ArgumentParser()
    module_of(verb).add_arguments(parser)
    return {option for action in parser._actions for option in action.option_strings} - {"-h", "--help"}


def commands(**changes: Any) -> dict[str, str]:
    program = run_program(flat_config(**changes))
    owner = names.owner_of("acme", "prefect-fly", "dev")
    images = [item.inputs["config"]["image"] for item in program.resources if item.kind.endswith("fly:Machine")]
    texts = {
        item.name: item.inputs.get("create") or item.inputs["delete"]
        for item in program.resources
        if item.kind == "command:local:Command"
    }
    return {
        name: text.replace(owner, "{owner}").replace(images[0], "{image}") if images else text
        for name, text in texts.items()
    }


def provider_classes() -> dict[str, str]:
    """Token of each dynamic resource, and the module and class that its pickled provider names."""
    found = {}
    for module in pkgutil.iter_modules(providers.__path__, "providers."):
        loaded = importlib.import_module(module.name)
        classes = [item for _, item in inspect.getmembers(loaded, inspect.isclass) if item.__module__ == module.name]
        resource = next((c for c in classes if issubclass(c, pulumi.dynamic.Resource)), None)
        provider = next((c for c in classes if issubclass(c, pulumi.dynamic.ResourceProvider)), None)
        if resource and provider:
            found[f"pulumi-python:{resource._resource_type_name}"] = _reference(provider())
    return found


def _reference(provider: pulumi.dynamic.ResourceProvider) -> str:
    pickled = base64.b64decode(serialize_provider(provider))
    texts = [argument for opcode, argument, _ in pickletools.genops(pickled) if opcode.name.endswith("UNICODE")]
    place = texts.index(type(provider).__name__)
    return f"{texts[place - 1]} {texts[place]}"


def test_verbs_and_flags() -> None:
    """Exactly these; an abbreviation is none."""
    assert {verb: flags_of(verb) for verb in VERBS} == VERBS_AND_FLAGS


def test_variables() -> None:
    """The names that a Command's environment and a person's shell hold."""
    assert {key: getattr(names, key) for key in VARIABLES} == VARIABLES


def test_providers_and_their_tokens() -> None:
    """The state holds a reference to the class, not the class."""
    assert provider_classes() == PROVIDERS


def test_type_tokens_of_components() -> None:
    """They are part of every URN below them."""
    assert {value for key, value in vars(type_tokens).items() if key.isupper()} == COMPONENTS


def test_texts_of_commands() -> None:
    """Every Command of the default stack, to the letter."""
    assert commands() == COMMANDS


def test_texts_of_commands_with_a_tested_channel() -> None:
    """One more Command for each channel."""
    channels = {"ops": {"kind": "webhook", "hears": ["failed"]}}
    found = commands(alerts={"channels": channels, "test": True}, alertAddresses={"ops": "https://example.com/hook"})
    assert found == COMMANDS | TESTED_CHANNEL


def test_texts_of_commands_with_an_older_client() -> None:
    """The verification is told; no other text changes."""
    assert commands(orchestrator={"clientVersion": "3.4.25", "allowOldClient": True}) == COMMANDS | OLDER_CLIENT


def test_texts_of_commands_with_a_domain() -> None:
    """One more where the domain is used, and its address in the two verifications; none where it is only got ready."""
    assert commands(fly={"domain": "prefect.example.com"}) == COMMANDS
    assert commands(fly={"domain": "prefect.example.com", "useDomain": True}) == COMMANDS | DOMAIN


def test_texts_of_commands_with_a_private_server() -> None:
    """The two verifications ask from inside the network; nothing else changes."""
    assert commands(fly={"private": True}, uptime={"enabled": False}) == COMMANDS | PRIVATE


def test_texts_of_commands_with_prefect_cloud() -> None:
    """The same wiring, without a server of our own."""
    assert commands(**CLOUD) == CLOUD_COMMANDS
