"""Every version the toolchain builds or asks for; changing a line here rebuilds exactly what it names.

The Python SDKs' pins are in requirements.txt; a unit test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass, field

PULUMI_VERSION = "3.259.0"
REQUIRED_PULUMI = ">=3.259.0 <4.0.0"
MINIMUM_GO = (1, 26)
COMMAND_PLUGIN = "1.2.1"
DOCKER_PLUGIN = "5.1.0"
GITHUB_PLUGIN = "6.15.0"
SUPPORTED_PLATFORMS = ("linux-x86_64", "linux-aarch64", "darwin-x86_64", "darwin-arm64")
"""Where a build is expected to work; it is tried on the first only (docs/toolchain.md)."""


@dataclass(frozen=True, kw_only=True)
class GoBuild:
    """One binary made from one committed go.mod.

    Attributes:
        name: folder under toolchain/go/ with go.mod and go.sum.
        package: what is compiled, "." for a main.go of our own.
        binary: file name of the result.
        scripts: scripts shipped inside a Go module that must lie beside the binary: (module, path inside it).
        label: what the progress line calls it.
    """

    name: str
    package: str
    binary: str
    label: str
    tags: str = ""
    ldflags: str = "-s -w"
    scripts: tuple[tuple[str, str], ...] = field(default=())


@dataclass(frozen=True, kw_only=True)
class NpmPackage:
    """One package as npm packs it. `sha512` is of the packed file, in hex."""

    name: str
    version: str
    sha512: str


CHROMIUM = NpmPackage(
    name="@sparticuz/chromium",
    version="153.0.0",
    sha512="8e2196a92bcf31dbb8f8ff538a562a011ef21063c41c8371fa50af13f36a34ef"
    "c41d8cc5ff1d615222394fa8a8548b7b744cbb9fcf1bcb24f4be4f9d9ec810c0",
)

_SDK = "github.com/pulumi/pulumi/sdk/v3"

PULUMI = GoBuild(
    name="pulumi",
    package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
    binary="pulumi",
    label=f"Pulumi engine {PULUMI_VERSION} (the long one: about 4 minutes on 2 cores)",
    tags="osusergo,grpcnotrace",
    ldflags=f"-s -w -X {_SDK}/go/common/version.Version=v{PULUMI_VERSION}",
    scripts=((_SDK, "python/dist/pulumi-resource-pulumi-python"),),
)
LANGUAGE_PYTHON = GoBuild(
    name="language-python",
    package=f"{_SDK}/python/cmd/pulumi-language-python",
    binary="pulumi-language-python",
    label="Pulumi's Python language host",
    scripts=((_SDK, "python/cmd/pulumi-language-python-exec"),),
)
GITHUB = GoBuild(
    name="github",
    package=".",
    binary="pulumi-resource-github",
    label=f"Pulumi's GitHub plugin {GITHUB_PLUGIN}",
    ldflags=f"-s -w -X main.version={GITHUB_PLUGIN}",
)
REGISTRY = GoBuild(
    name="registry",
    package="github.com/distribution/distribution/v3/cmd/registry",
    binary="registry",
    label="a local image registry",
)
ACTIONLINT = GoBuild(
    name="actionlint",
    package="github.com/rhysd/actionlint/cmd/actionlint",
    binary="actionlint",
    label="actionlint, which checks the workflows",
)
PROMTOOL = GoBuild(
    name="promtool",
    package="github.com/prometheus/prometheus/cmd/promtool",
    binary="promtool",
    label="promtool, which checks the alert rules (about 3 minutes of processor time)",
    # Leaves out the clients of two dozen clouds, which only the server needs.
    tags="remove_all_sd",
)
