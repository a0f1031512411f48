"""Logins with rights through the real engine: from the stack file to the server, and the way to their keys."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from datetime import date

import pytest
import requests

import toolchain
from tests.engine.program.conftest import Deployment
from tests.support.engine import PASSPHRASE, ROOT, STACK

pytestmark = pytest.mark.engine


def login(deployment: Deployment, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m ops login` beside the stack."""
    folder = deployment.engine.folder
    environ = {**os.environ, **toolchain.pulumi_env(), "PYTHONPATH": str(ROOT), "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE}
    environ |= {"PULUMI_BACKEND_URL": deployment.engine.variables["PULUMI_BACKEND_URL"]}
    argv = [sys.executable, "-m", "ops", "login", STACK, *arguments]
    return subprocess.run(argv, cwd=folder, env=environ, capture_output=True, text=True, timeout=600, check=False)


def test_a_login_with_rights_reaches_the_server(deployment: Deployment) -> None:
    """A date without quotes, a key of the person's own, the table, the verb: the server knows who they are."""
    made = login(deployment, "--login", "otto", "--new")
    assert made.returncode == 0, made.stderr
    own = made.stdout.strip()
    hashed = hashlib.sha256(own.partition(":")[2].encode()).hexdigest()
    assert f"{{name: otto, rights: viewer, sha256: {hashed}}}" in made.stderr
    anna = {"name": "anna", "rights": "viewer", "expires": date(2097, 1, 31)}
    otto = {"name": "otto", "rights": "operator", "sha256": hashed}
    deployment.engine.set({"prefect-fly:logins": ["admin", anna, otto]})
    deployment.engine.up()
    assert "anna   viewer    2097-01-31T00:00:00Z" in deployment.engine.outputs()["uiLogins"]
    shown = login(deployment, "--login", "anna")
    assert shown.returncode == 0, shown.stderr
    for credential, name, rights, expires in (
        (shown.stdout.strip(), "anna", "viewer", "2097-01-31T00:00:00Z"),
        (own, "otto", "operator", None),
    ):
        url = f"{deployment.engine.outputs()['serverUrl']}/gate/whoami"
        who = requests.get(url, headers={"Authorization": f"Bearer {credential}"}, timeout=600).json()
        assert who == {"name": name, "rights": rights, "expires": expires}
    assert own not in deployment.engine.state() + deployment.engine.text()
    refused = login(deployment, "--login", "otto")
    assert refused.returncode == 1
    assert "the state holds no such key (it has: admin, anna)" in refused.stderr
    assert deployment.engine.preview(expect_no_changes=True) == {}
