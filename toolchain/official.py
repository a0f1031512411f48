"""The official CLI with the real plugins: they are downloaded before they are needed, with a line that says so.

The contract suites run against whatever the engine finds. In `make test-plugins` they are to prove what the real
plugins do, so anything built in a checkout is refused rather than tested again.
"""

from __future__ import annotations

import os
from pathlib import Path

from toolchain.errors import BuildFailedError, NotOfficialError
from toolchain.pins import GITHUB_PLUGIN, REQUIRED_PULUMI
from toolchain.places import KEEP, ROOT
from toolchain.plugins import STANDINS, is_standin, plugin_folder
from toolchain.progress import Step, run_step
from toolchain.pulumi_cli import CHOICE_VARIABLE, environment_without_built, fitting_pulumi


def ensure_plugins(pulumi: Path) -> None:
    """Download the plugins of the program that an official CLI does not have yet; `up` would do it without a word.

    Raises:
        BuildFailedError: one cannot be downloaded; the text ends with what else can be done.
    """
    for name, version in {**STANDINS, "github": GITHUB_PLUGIN}.items():
        if not _binary(name, version).is_file():
            try:
                _download(pulumi, name, version)
            except BuildFailedError as error:
                raise BuildFailedError(
                    f"{error}\nWhere plugins cannot be downloaded, {CHOICE_VARIABLE}=build has everything built here."
                ) from None


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
    for name, version in STANDINS.items():
        _download(pulumi, name, version)
        plugin = _binary(name, version)
        if not plugin.is_file():
            raise NotOfficialError(
                f"could not test the real plugins: plugin {name} is not at {plugin.parent}; set PULUMI_HOME."
            )
        if is_standin(plugin):
            raise NotOfficialError(
                f"could not test the real plugins: plugin {name} at {plugin.parent} is a stand-in; remove that folder."
            )
    return pulumi


def _binary(name: str, version: str) -> Path:
    home = _environment().get("PULUMI_HOME") or Path.home() / ".pulumi"
    return plugin_folder(name, version, Path(home)) / f"pulumi-resource-{name}"


def _download(pulumi: Path, name: str, version: str) -> None:
    step = Step(f"downloading Pulumi's {name} plugin {version}")
    argv: list[str | Path] = [pulumi, "plugin", "install", "resource", name, version]
    log = KEEP / "logs" / f"plugin-{name}.log"
    log.unlink(missing_ok=True)
    run_step(step, argv, cwd=ROOT, env=_environment(), verb=f"install plugin {name} {version}", log=log)
    step.done()


def _environment() -> dict[str, str]:
    return {**os.environ, **environment_without_built(), "PULUMI_SKIP_UPDATE_CHECK": "1"}
