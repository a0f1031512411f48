"""Which `pulumi` counts as fitting, and what is said when there is nothing to work with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

import toolchain
from toolchain import gobuild, pins, places, plugins, pulumi_cli
from toolchain.errors import NoBuilderError, ToolchainError
from toolchain.official import require_official_plugins


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
    assert pulumi_cli.path_without_built(path) == os.pathsep.join(["/usr/bin", "/bin"])


def other_checkout(tmp_path: Path) -> Path:
    """The folder that `toolchain/env.sh` of another checkout puts on PATH."""
    engine = fake_pulumi(tmp_path / "other" / ".toolchain" / "builds" / "engine-0", "3.259.0")
    folder = tmp_path / "other" / ".toolchain" / "bin"
    folder.mkdir()
    (folder / "pulumi").symlink_to(engine)
    return folder


def test_another_checkouts_build_is_not_an_installed_cli(tmp_path: Path) -> None:
    """Neither its folder on PATH nor a link to it elsewhere is taken; the official one behind them is."""
    built = other_checkout(tmp_path)
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "pulumi").symlink_to(built / "pulumi")
    assert pulumi_cli.fitting_pulumi(f"{built}:{linked}:/usr/bin:/bin") is None
    official = fake_pulumi(tmp_path / "official", "3.300.0")
    assert pulumi_cli.fitting_pulumi(f"{built}:{linked}:{tmp_path}/official:/usr/bin:/bin") == official


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
    with pytest.raises(NoBuilderError) as caught:
        gobuild.build(pins.REGISTRY)
    assert str(caught.value) == "could not build a local image registry without `go`: install Go 1.26 or later."


def test_a_found_cli_gets_no_home_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an installed CLI only PATH and the update check are touched; its plugins stay its own."""
    fake_pulumi(tmp_path / "bin", "3.300.0")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.delenv("PULUMI_HOME", raising=False)
    env = toolchain.pulumi_env()
    assert set(env) == {"PATH", "VIRTUAL_ENV", "PULUMI_SKIP_UPDATE_CHECK"}
    assert env["PATH"].split(os.pathsep)[0] == str(places.VENV / "bin")


def test_the_environment_never_chooses_a_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's backend and passphrase are neither set nor unset."""
    monkeypatch.setenv("PULUMI_BACKEND_URL", "file:///somewhere")
    assert not {"PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_ACCESS_TOKEN"} & set(toolchain.pulumi_env())


@pytest.mark.parametrize("checkout", ["here", "elsewhere"])
def test_an_installed_cli_does_not_inherit_the_stand_ins(
    checkout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a shell that env.sh of this or another checkout set up, an official CLI gets its own home and may download."""
    built = other_checkout(tmp_path)
    home = places.PULUMI_HOME if checkout == "here" else built.parent / "pulumi-home"
    fake_pulumi(tmp_path / "official", "3.300.0")
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.setenv("PULUMI_HOME", str(home))
    monkeypatch.setenv("PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION", "true")
    monkeypatch.setenv("PATH", f"{built}:{tmp_path}/official:/usr/bin:/bin")
    env = toolchain.pulumi_env()
    assert env["PULUMI_HOME"] == str(tmp_path / "me" / ".pulumi")
    assert env["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] == "false"
    assert ".toolchain" not in env["PATH"]
    monkeypatch.setenv("PULUMI_HOME", "/home/somebody/.pulumi")
    assert not {name for name in toolchain.pulumi_env() if name.startswith("PULUMI_") and "SKIP" not in name}


def official(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, plugin: bytes) -> Path:
    """A CLI that looks official, with the two plugins in the home of its user; gives the log of what it was asked."""
    pulumi = fake_pulumi(tmp_path / "official", "3.300.0")
    log = tmp_path / "asked"
    pulumi.write_text(f'#!/bin/sh\n[ "$1" = version ] && exec echo v3.300.0\necho "$@" >> {log}\n')
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.delenv("PULUMI_HOME", raising=False)
    monkeypatch.delenv(pulumi_cli.CHOICE_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}/official:/usr/bin:/bin")
    for name, version in (("command", pins.COMMAND_PLUGIN), ("docker", pins.DOCKER_PLUGIN)):
        binary = tmp_path / "me" / ".pulumi" / "plugins" / f"resource-{name}-v{version}" / f"pulumi-resource-{name}"
        binary.parent.mkdir(parents=True)
        binary.write_bytes(plugin)
    return log


def test_the_suites_for_real_plugins_ask_the_official_cli_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an official CLI both plugins are installed at the pinned version, and nothing else is asked."""
    log = official(tmp_path, monkeypatch, plugin=b"\x7fELF and so on")
    assert require_official_plugins() == tmp_path / "official" / "pulumi"
    assert log.read_text().splitlines() == [
        f"plugin install resource command {pins.COMMAND_PLUGIN}",
        f"plugin install resource docker {pins.DOCKER_PLUGIN}",
    ]


def test_the_suites_for_real_plugins_refuse_stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in that somebody installed for the official CLI is seen: the suites would only prove themselves."""
    official(tmp_path, monkeypatch, plugin=plugins.launcher_text("command").encode())
    with pytest.raises(ToolchainError, match=r"plugin command at .* is a stand-in; remove that folder\.$"):
        require_official_plugins()


def test_the_suites_for_real_plugins_say_what_a_failed_download_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the plugins cannot be downloaded, the CLI's words are in the text; the demo's says how to do without."""
    official(tmp_path, monkeypatch, plugin=b"")
    (tmp_path / "official" / "pulumi").write_text(
        '#!/bin/sh\n[ "$1" = version ] && exec echo v3.300.0\necho no route; echo all failed >&2; exit 1\n'
    )
    said = r"^could not install plugin command 1\.2\.1 \(exit code 1; .*\); it said:\nno route\nall failed"
    with pytest.raises(ToolchainError, match=f"{said}$"):
        require_official_plugins()
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "empty"))
    with pytest.raises(ToolchainError, match=rf"{said}\nWhere .*, PREFECT_FLY_TOOLCHAIN=build has everything"):
        toolchain.ensure_with_plugins()


def test_the_demo_downloads_only_the_plugins_that_an_official_cli_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The one that is missing is downloaded with a line that says so; with all of them nothing is asked."""
    log = official(tmp_path, monkeypatch, plugin=b"\x7fELF")
    assert toolchain.ensure_with_plugins() == tmp_path / "official" / "pulumi"
    assert log.read_text().splitlines() == [f"plugin install resource github {pins.GITHUB_PLUGIN}"]
    assert f"downloading Pulumi's github plugin {pins.GITHUB_PLUGIN}: ready after" in capfd.readouterr().err
    github = tmp_path / "me" / ".pulumi" / "plugins" / f"resource-github-v{pins.GITHUB_PLUGIN}"
    github.mkdir()
    (github / "pulumi-resource-github").touch()
    log.unlink()
    toolchain.ensure_with_plugins()
    assert not log.exists()


def test_the_suites_for_real_plugins_need_to_see_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CLI that keeps its plugins elsewhere is not trusted: what cannot be looked at may be a stand-in."""
    official(tmp_path, monkeypatch, plugin=b"\x7fELF")
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "empty"))
    with pytest.raises(ToolchainError, match=r"is not at .*/empty/plugins/.*; set PULUMI_HOME\.$"):
        require_official_plugins()


@pytest.mark.parametrize("found", ["nothing", "built", "asked for the build"])
def test_the_suites_for_real_plugins_refuse_a_cli_that_is_not_official(
    found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence says that there is none on PATH; a built one and one that is to be ignored do not count."""
    official(tmp_path, monkeypatch, plugin=b"\x7fELF")
    path = {"nothing": "/usr/bin:/bin", "built": f"{other_checkout(tmp_path)}:/usr/bin:/bin"}
    monkeypatch.setenv("PATH", path.get(found, os.environ["PATH"]))
    if found == "asked for the build":
        monkeypatch.setenv(pulumi_cli.CHOICE_VARIABLE, "build")
    with pytest.raises(ToolchainError) as caught:
        require_official_plugins()
    assert str(caught.value) == (
        "could not test the real plugins: no official Pulumi CLI >=3.259.0 <4.0.0 is on PATH (one that was built here "
        "does not count); install it, open a new shell without PREFECT_FLY_TOOLCHAIN, and run this again."
    )
