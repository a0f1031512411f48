"""Wrong configurations and tokens: each is refused before anything is asked or changed, by a text that names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clients.better_stack import BetterStackClient
from clients.endpoints import World, WrongWorldError, require_url
from clients.errors import UnauthorizedError
from clients.fly import FlyClient
from clients.github import GitHubClient
from settings import SettingsError, parse
from tests.support.sentences import require_sentence
from tests.support.stack_config import flat_config

PASSWORD = "hunter2-hunter2"
LEAKY = f"postgresql://u:{PASSWORD}@db.example.com/postgres"

WRONG: list[tuple[str, dict[str, Any]]] = [
    ("fly", {"fly": "acme"}),
    ("fly", {"fly": "[]"}),
    ("fly", {"fly": '{"org": "acme"'}),
    ("fly.org", {"fly": {"org": None}}),
    ("fly.org", {"fly": {"org": ""}}),
    ("fly.org", {"fly": {"org": 7}}),
    ("fly.org", {"fly": {"org": ["acme"]}}),
    ("fly.app", {"fly": {"app": "Acme"}}),
    ("fly.app", {"fly": {"app": "a b"}}),
    ("fly.app", {"fly": {"app": "a" * 64}}),
    ("fly.app", {"fly": {"app": "../machines"}}),
    ("fly.app", {"fly": {"app": "acme\n"}}),
    ("fly.app", {"fly": {"app": LEAKY}}),
    ("fly.region", {"fly": {"region": "EWR"}}),
    ("fly.region", {"fly": {"region": "newark"}}),
    ("fly.regoin", {"fly": {"regoin": "ewr"}}),
    ("fly.adoptExisting", {"fly": {"adoptExisting": "true"}}),
    ("fly.urlTemplate", {"fly": {"urlTemplate": "acme.fly.dev"}}),
    ("fly.urlTemplate", {"fly": {"urlTemplate": "https://["}}),
    ("fly.urlTemplate", {"fly": {"urlTemplate": "https://x:port"}}),
    ("fly.urlTemplate", {"fly": {"urlTemplate": "https://x:99999"}}),
    ("fly.urlTemplate", {"fly": {"urlTemplate": f"https://u:{PASSWORD}@x"}}),
    ("vm.cpus", {"vm": {"cpus": 0}}),
    ("vm.cpus", {"vm": {"cpus": 1.5}}),
    ("vm", {"vm": '{"cpus": 1e400}'}),
    ("vm.cpus", {"vm": {"cpus": "9" * 100_000}}),
    ("vm", {"vm": '{"cpus": ' + "9" * 5_000 + "}"}),
    ("vm", {"vm": "null"}),
    ("vm.memoryMb", {"vm": {"memoryMb": 300}}),
    ("vm.memoryMb", {"vm": {"memoryMb": True}}),
    ("vm.replicas", {"vm": {"replicas": 6}}),
    ("vm.regions", {"vm": {"regions": "ewr"}}),
    ("vm.regions[1]", {"vm": {"regions": ["ewr", 7]}}),
    ("image.reference", {"image": {"reference": "x:latest"}}),
    ("image.reference", {"image": {"reference": "x@sha256:abc"}}),
    ("image.registry", {"image": {"registry": ""}}),
    ("database.schema", {"database": {"schema": "Prefect"}}),
    ("database.schema", {"database": {"schema": 'x"; drop'}}),
    ("database.schema", {"database": {"schema": "pg_x"}}),
    ("database.tier", {"database": {"tier": "huge"}}),
    ("database.requireTls", {"database": {"requireTls": "no"}}),
    ("databaseUrl", {"databaseUrl": ""}),
    ("databaseUrl", {"databaseUrl": "db.example.com"}),
    ("databaseUrl", {"databaseUrl": f"mysql://u:{PASSWORD}@h/d"}),
    ("databaseUrl", {"databaseUrl": f"postgresql://u:{PASSWORD}@h:6543/d"}),
    ("databaseUrl", {"databaseUrl": f"postgresql://u:{PASSWORD}@h:{'9' * 5_000}/d"}),
    ("databaseUrl", {"databaseUrl": f"postgresql://u:{PASSWORD}"}),
    ("databaseUrl", {"databaseUrl": f"postgresql://u:{PASSWORD}@/d"}),
    ("databaseUrl", {"databaseUrl": f"postgresql://u:{PASSWORD}@h/d?sslmode=maybe"}),
    ("databaseUrl", {"databaseUrl": f"postgresql://u:{PASSWORD}@h/d?{'x' * 100_000}=1"}),
    ("redisUrl", {"redisUrl": f"http://:{PASSWORD}@h"}),
    ("keys.current", {"keys": {"current": 2}}),
    ("keys.accepted", {"keys": {"accepted": []}}),
    ("keys.accepted[0]", {"keys": {"accepted": ["1"]}}),
    ("keys", {"keys": '{"accepted": ' + "[" * 20_000 + "]" * 20_000 + "}"}),
    ("logins", {"logins": "admin"}),
    ("logins", {"logins": '{"admin": 1}'}),
    ("logins", {"logins": "[" * 20_000}),
    ("logins[0]", {"logins": ["ann@example.com"]}),
    ("logins[0]", {"logins": [None]}),
    ("retention.flowRunDays", {"retention": {"flowRunDays": 0}}),
    ("orchestrator.app", {"orchestrator": {"app": None}}),
    ("orchestrator.healthUrl", {"orchestrator": {"healthUrl": "/health"}}),
    ("orchestrator.healthUrl", {"orchestrator": {"healthUrl": "https://[::1/health"}}),
    ("orchestrator.healthUrl", {"orchestrator": {"healthUrl": f"https://u:{PASSWORD}@x/health"}}),
    ("orchestrator.healthUrl", {"orchestrator": {"healthUrl": LEAKY}}),
    ("orchestrator.redeploy", {"orchestrator": {"redeploy": "ssh"}}),
    ("orchestrator.clientVersion", {"orchestrator": {"clientVersion": "latest"}}),
    ("github.repository", {"github": {"repository": "acme/acme"}}),
    ("github.workflow", {"github": {"workflow": ""}}),
    ("github.workflowInputs", {"github": {"workflowInputs": {"a": {}}}}),
    ("github.workflowInputs", {"github": {"workflowInputs": []}}),
    ("github:owner", {"github": {"repository": "acme"}, "owner": None}),
    ("uptime.intervalSeconds", {"uptime": {"intervalSeconds": 10}}),
    ("uptime.path", {"uptime": {"path": "api/ready"}}),
    ("timeouts.healthy", {"timeouts": {"healthy": -1}}),
    ("timeouts", {"timeouts": '{"migrate": 1e999}'}),
    ("timeouts", {"timeouts": '{"migrate": NaN}'}),
    ("cloud.apiUrl", {"cloud": {"apiUrl": "https://api.prefect.cloud"}}),
    ("cloudApiKey", {"mode": "cloud", "cloudApiKey": "pf_wrong"}),
    ("mode", {"mode": "Cloud"}),
    ("endpoints", {"endpoints": "staging"}),
    ("nonsense", {"nonsense": "1"}),
]


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_a_wrong_configuration_is_refused_by_its_key(number: int, tmp_path: Path) -> None:
    """Each problem is a line that begins with its key; no line is endless, and none holds a password."""
    key, changes = WRONG[number]
    config = flat_config(**{name: value for name, value in changes.items() if name != "owner"})
    if "owner" in changes:
        del config["github:owner"]
    with pytest.raises(SettingsError) as caught:
        parse(config, stack="dev", owner="0" * 12, root=tmp_path)
    first, *problems, last = str(caught.value).split("\n")
    assert first == "could not use the configuration of stack 'dev':"
    assert last == "Correct Pulumi.dev.yaml."
    assert any(line.startswith((f"  - {key}", f"  - could not use {key}")) for line in problems), problems
    assert all(len(line) < 800 and line.endswith(".") for line in problems), problems
    assert PASSWORD not in str(caught.value)


ADDRESSES = [
    "",
    "x",
    "//x",
    "ftp://x",
    "https://",
    "https:///path",
    "https://[",
    "https://[::1",
    "https://x:y",
    "https://x:-1",
    "https://x:70000",
    "https://x\n.example.com",
    "https://x y",
    f"https://u:{PASSWORD}@x",
    f"https://u:{PASSWORD}@[",
    LEAKY,
]


@pytest.mark.parametrize("world", World)
@pytest.mark.parametrize("url", ADDRESSES)
def test_an_address_that_cannot_be_used_is_refused_with_a_sentence(url: str, world: World) -> None:
    """Before any request, and without repeating a password that stands in it."""
    with pytest.raises(WrongWorldError) as caught:
        require_url(url, world, "the health URL")
    require_sentence(caught.value, [PASSWORD])


TOKENS = [
    "",
    "  ",
    "\n",
    "Bearer",
    "gho one",
    "gho\none",
    "gho\r\nX-Evil: 1",
    "gho_\x00",
    "gho_\u00fc",
    "ghö",
    "\u200bgho",
]
CLIENTS = {"FLY_API_TOKEN": FlyClient, "GITHUB_TOKEN": GitHubClient, "BETTERSTACK_API_TOKEN": BetterStackClient}


# Texts that could be a token after all: Fly's are joined from lines, and only Fly's have "Bearer" taken off.
USABLE = {("FLY_API_TOKEN", "gho\none"), ("GITHUB_TOKEN", "Bearer"), ("BETTERSTACK_API_TOKEN", "Bearer")}


@pytest.mark.parametrize(
    ("variable", "token"), [(name, token) for name in CLIENTS for token in TOKENS if (name, token) not in USABLE]
)
def test_a_token_that_cannot_be_sent_is_refused_and_not_shown(variable: str, token: str) -> None:
    """The HTTP library would refuse it in a text that holds the token, or send a header of somebody else's making."""
    with pytest.raises(UnauthorizedError) as caught:
        CLIENTS[variable].from_environment(World.REAL, {variable: token})  # type: ignore[attr-defined]
    assert variable in str(caught.value)
    require_sentence(caught.value, [token] if len(token) > 5 and token.isprintable() else [])
