"""The official CLI with the real plugins, for the contract suites: `make test-plugins`.

The suites run against whatever the engine finds. Here they are to prove what the real plugins do, so anything built in
a checkout is refused rather than tested again.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from toolchain.errors import BuildFailedError, NotOfficialError
from toolchain.pins import REQUIRED_PULUMI
from toolchain.plugins import STANDINS, is_standin, plugin_folder
from toolchain.pulumi_cli import CHOICE_VARIABLE, environment_without_built, fitting_pulumi


def require_official_plugins() -> Path:
    """Install the real plugins with the official CLI on PATH, if they are not there, and give the CLI's path.

    Raises:
        NotOfficialError: there is no official CLI, or one of its plugins is a stand-in.
        BuildFailedError: a plugin could not be installed; the text holds what the CLI said.
    """
    pulumi = fitting_pulumi()
    if pulumi is None:
        raise NotOfficialError(
            f"could not test the real plugins: no official Pulumi CLI {REQUIRED_PULUMI} is on PATH (one that was built "
            f"here does not count); install it, open a new shell without {CHOICE_VARIABLE}, and run this again."
        )
    env = {**os.environ, **environment_without_built(), "PULUMI_SKIP_UPDATE_CHECK": "1"}
    home = Path(env.get("PULUMI_HOME") or Path.home() / ".pulumi")
    for name, version in STANDINS.items():
        argv = [str(pulumi), "plugin", "install", "resource", name, version]
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            said = (done.stdout + done.stderr).strip().splitlines() or ["nothing"]
            raise BuildFailedError(
                f"could not install plugin {name} {version}: {said[-1]}. Run `{' '.join(argv)}` to see all it says."
            )
        plugin = plugin_folder(name, version, home) / f"pulumi-resource-{name}"
        if not plugin.is_file():
            raise NotOfficialError(
                f"could not test the real plugins: plugin {name} is not at {plugin.parent}; set PULUMI_HOME."
            )
        if is_standin(plugin):
            raise NotOfficialError(
                f"could not test the real plugins: plugin {name} at {plugin.parent} is a stand-in; remove that folder."
            )
    return pulumi
