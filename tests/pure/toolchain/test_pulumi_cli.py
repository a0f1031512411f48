"""Which `pulumi` counts as fitting, and what is said when there is nothing to work with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

import toolchain
from toolchain import pins, places, pulumi_cli
from toolchain.errors import NoBuilderError


@pytest.mark.parametrize("version", ["v3.259.0", "3.260.1", "v3.999.0\n", "v3.259.0+dirty"])
def test_these_versions_fit(version: str) -> None:
    """The pinned version and later ones of the same major fit, with and without the v."""
    assert pulumi_cli.fits(version)


@pytest.mark.parametrize("version", ["v3.258.9", "v4.0.0", "2.999.0", "v3.260.0-alpha.1", "", "dev", "3.259"])
def test_these_versions_do_not_fit(version: str) -> None:
    """Older ones, the next major, pre-releases and what is no version at all do not fit."""
    assert not pulumi_cli.fits(version)


def test_the_project_file_states_the_same_range() -> None:
    """Pulumi.yaml and the toolchain ask for the same CLI."""
    project = yaml.safe_load((places.ROOT / "Pulumi.yaml").read_text())
    assert project["requiredPulumiVersion"] == pins.REQUIRED_PULUMI


def test_the_sdk_pins_are_the_plugins_versions() -> None:
    """An SDK asks the engine for the plugin of its own version, so the two pins must be one."""
    lines = (places.ROOT / "requirements.txt").read_text().splitlines()
    wanted = dict(line.split("==") for line in lines if "==" in line)
    assert wanted["pulumi"] == pins.PULUMI_VERSION
    assert wanted["pulumi-command"] == pins.COMMAND_PLUGIN
    assert wanted["pulumi-docker"] == pins.DOCKER_PLUGIN
    assert wanted["pulumi-github"] == pins.GITHUB_PLUGIN


def fake_pulumi(folder: Path, version: str, *, language_host: bool = True) -> Path:
    folder.mkdir(parents=True)
    for name in ["pulumi", *(["pulumi-language-python"] if language_host else [])]:
        (folder / name).write_text(f"#!/bin/sh\necho v{version}\n")
        (folder / name).chmod(0o755)
    return folder / "pulumi"


def test_a_fitting_one_on_path_is_used(tmp_path: Path) -> None:
    """A CLI of a fitting version with its language host beside it is taken."""
    pulumi = fake_pulumi(tmp_path / "bin", "3.300.0")
    assert pulumi_cli.fitting_pulumi(f"{tmp_path}/bin:/usr/bin:/bin") == pulumi


@pytest.mark.parametrize(("version", "language_host"), [("3.1.0", True), ("3.300.0", False)])
def test_one_that_does_not_fit_is_not_used(tmp_path: Path, version: str, language_host: bool) -> None:
    """An old CLI is passed over, and so is one without its Python language host."""
    fake_pulumi(tmp_path / "bin", version, language_host=language_host)
    assert pulumi_cli.fitting_pulumi(f"{tmp_path}/bin:/usr/bin:/bin") is None


def test_the_build_can_be_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PREFECT_FLY_TOOLCHAIN=build passes over a fitting CLI."""
    fake_pulumi(tmp_path / "bin", "3.300.0")
    monkeypatch.setenv("PREFECT_FLY_TOOLCHAIN", "build")
    assert pulumi_cli.fitting_pulumi(f"{tmp_path}/bin:/usr/bin:/bin") is None


def test_our_own_build_is_not_an_installed_cli() -> None:
    """What this toolchain puts on PATH is left out of the search, and nothing else is."""
    path = os.pathsep.join(["/usr/bin", str(places.BIN), "/bin"])
    assert pulumi_cli.path_without_ours(path) == os.pathsep.join(["/usr/bin", "/bin"])


def test_with_neither_pulumi_nor_go_one_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing built and nothing to build with: one sentence, both ways out in it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("toolchain.gobuild.BUILDS", tmp_path / "builds")
    monkeypatch.setattr("toolchain.locks.LOCKS", tmp_path / "locks")
    with pytest.raises(NoBuilderError) as caught:
        toolchain.ensure()
    assert str(caught.value) == (
        "could not find a fitting `pulumi` nor `go` on PATH: install the Pulumi CLI, or Go 1.26 or later."
    )


def test_a_found_cli_gets_no_home_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an installed CLI only PATH and the update check are touched; its plugins stay its own."""
    fake_pulumi(tmp_path / "bin", "3.300.0")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    env = toolchain.pulumi_env()
    assert set(env) == {"PATH", "VIRTUAL_ENV", "PULUMI_SKIP_UPDATE_CHECK"}
    assert env["PATH"].split(os.pathsep)[0] == str(places.VENV / "bin")


def test_the_environment_never_chooses_a_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's backend and passphrase are neither set nor unset."""
    monkeypatch.setenv("PULUMI_BACKEND_URL", "file:///somewhere")
    assert not {"PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_ACCESS_TOKEN"} & set(toolchain.pulumi_env())


def test_an_installed_cli_does_not_inherit_the_stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    """A built toolchain's variables stay in its shell; once a CLI is installed they go, and others' stay."""
    monkeypatch.setattr(toolchain, "ensure", lambda: places.BIN / "pulumi")
    monkeypatch.setenv("PULUMI_HOME", str(places.PULUMI_HOME))
    assert toolchain.stale_variables() == []
    monkeypatch.setattr(toolchain, "ensure", lambda: Path("/usr/local/bin/pulumi"))
    assert toolchain.stale_variables() == ["PULUMI_HOME", "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"]
    monkeypatch.setenv("PULUMI_HOME", "/home/somebody/.pulumi")
    assert toolchain.stale_variables() == []
