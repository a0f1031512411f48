"""Names that cross a process: what the program sets, the verbs look for, and the image and people's apps read.

Each stands here once. Free of pulumi, since the verbs must run without it.
"""

from __future__ import annotations

import hashlib

# What a consumer of the server is given, as Fly secret of the orchestrator and as GitHub secret.
API_URL = "PREFECT_API_URL"
API_KEY = "PREFECT_API_KEY"
AUTH_STRING = "PREFECT_API_AUTH_STRING"
CUSTOM_HEADERS = "PREFECT_CLIENT_CUSTOM_HEADERS"
"""JSON of headers that a client sends with every request and websocket; set only for clients that need it."""
WIRED = (API_URL, API_KEY, AUTH_STRING, CUSTOM_HEADERS)

# Secrets of the server's app; docker/prefect/prefect_server/settings.py is the other end.
DATABASE_SECRET = "PREFECT_SERVER_DATABASE_CONNECTION_URL"  # noqa: S105 - a variable's name, as those below
DATABASE_CA_SECRET = "PREFECT_FLY_DATABASE_CA"  # noqa: S105
REDIS_SECRET = "PREFECT_FLY_REDIS_URL"  # noqa: S105
API_KEYS_SECRET = "PREFECT_FLY_API_KEYS"  # noqa: S105
KEYS_GENERATION_SECRET = "PREFECT_FLY_KEYS_GENERATION"  # noqa: S105
KEYS_SIGNING_SECRET = "PREFECT_FLY_KEYS_SIGNING"  # noqa: S105

IMAGE_PYTHON = "/opt/prefect-server/bin/python"
"""What runs a module of the image in one of its machines."""

RETIRED_NAMES = (
    "PREFECT_API_DATABASE_CONNECTION_URL",
    "PREFECT_API_DATABASE_PASSWORD",
    "PREFECT_ORION_DATABASE_CONNECTION_URL",
    "PREFECT_SERVER_API_AUTH_STRING",
    "PREFECT_SERVER_API_BASE_PATH",
    "PREFECT_SERVER_DATABASE_PASSWORD",
    "PREFECT_SQLALCHEMY_MAX_OVERFLOW",
    "PREFECT_SQLALCHEMY_POOL_SIZE",
    "PREFECT_UI_API_URL",
)
"""Names that the image refuses to start with, because it would run on another database than people think. A server made
by hand has some of them; they are unset when it is taken over."""

# Who gets a key of its own, besides people's logins.
ORCHESTRATOR = "orchestrator"
GITHUB = "github"
VERIFY = "verify"
CONSUMERS = (ORCHESTRATOR, GITHUB, VERIFY)
PULUMI = "pulumi"
"""Reads and writes what the stack keeps on the server; made only where there is such a thing."""

KEY_PREFIX = "pf_"
"""What every generated key begins with; secret scanners can look for it."""

LOGIN_KEYS_OUTPUT = "uiLoginKeys"
"""The stack's output that holds the keys of people's logins."""

# Variables of the environment.
FLY_TOKEN = "FLY_API_TOKEN"  # noqa: S105
REGISTRY_TOKEN = "FLY_REGISTRY_TOKEN"  # noqa: S105
GITHUB_TOKEN = "GITHUB_TOKEN"  # noqa: S105
BETTER_STACK_TOKEN = "BETTERSTACK_API_TOKEN"  # noqa: S105
VERIFY_KEY = "PREFECT_FLY_VERIFY_KEY"
SERVER_KEY = "PREFECT_FLY_SERVER_KEY"
"""Key of a Prefect server, `name:key` or Prefect Cloud's, for the verbs that use its API."""
SKIP_DETACH = "PREFECT_FLY_SKIP_DETACH"

MARK_PREFIX = "prefect-fly-"
"""Beginning of the mark that an object on a Prefect server carries."""

OWNER_PREFIX = "PREFECT_FLY_OWNER_"
"""Beginning of the name of the secret that marks a set of secrets as a stack's."""

MARKER_VALUE = "1"

ALERT_TEST_EVENT = "prefect-fly.alert-test"
"""Event that the automation of a channel's test message waits for."""

NONCE = "{nonce}"
"""Stands in a workflow's input for a text that is different for every dispatch."""


def owner_of(organization: str, project: str, stack: str) -> str:
    """Return the mark of a stack: 12 hexadecimal digits that say nothing about it."""
    return hashlib.sha256(f"{organization}/{project}/{stack}".encode()).hexdigest()[:12]


def marker_of(owner: str) -> str:
    """Return the name of the secret that marks a set of secrets as `owner`'s."""
    return f"{OWNER_PREFIX}{owner.upper()}"


def mark_of(owner: str) -> str:
    """Return what tells a stack's objects on a Prefect server from what people made by hand."""
    return f"{MARK_PREFIX}{owner}"


def kept_by(stack: str, mark: str) -> str:
    """Return how the description of such an object begins."""
    return f"Kept by the Pulumi stack {stack} ({mark})"
