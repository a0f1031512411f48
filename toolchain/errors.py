"""What can go wrong while the tools are made ready.

ToolchainError
├── NoBuilderError            neither a fitting `pulumi` nor `go` on PATH
├── UnsupportedPlatformError  not one of the platforms in pins.SUPPORTED_PLATFORMS
├── NotOfficialError          the real plugins were to be tested, and what was found is built here
├── BuildFailedError          a compiler, pip or the CLI said no; carries the last lines of its output
└── EngineUnavailableError    no Docker engine could be started or reached
"""

from __future__ import annotations


class ToolchainError(Exception):
    """A tool the project needs could not be made ready; the text is one sentence with what to do next."""


class NoBuilderError(ToolchainError):
    """Neither the tool itself nor what could build it is on PATH."""


class UnsupportedPlatformError(ToolchainError):
    """This operating system or processor is not among the stated ones."""


class NotOfficialError(ToolchainError):
    """The official CLI or its plugins were asked for, and there are none."""


class BuildFailedError(ToolchainError):
    """A build step ended with an error."""


class EngineUnavailableError(ToolchainError):
    """No Docker engine answers and none could be started."""
