"""What the demo has to know of the sandbox: addresses, the image to deploy and the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.names import SERVER
from toolchain.docker_engine import answering_host

_NO_CONTAINERS = (
    "Left out, because {reason}: building and pushing the image; the server runs as a process from the same locked "
    "packages."
)


@dataclass(frozen=True)
class Facts:
    """The sandbox's variables, by what the demo does with them.

    Attributes:
        addresses: all of them, for the environment of `pulumi`.
    """

    addresses: Mapping[str, str]

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Facts:
        """Read what `python -m sandbox env` printed."""
        return cls(dict(environment))

    @property
    def server_app(self) -> str:
        """The Fly app of the server."""
        return SERVER

    @property
    def in_containers(self) -> bool:
        """Tell whether machines are containers, which need a built image."""
        return self.addresses["SANDBOX_DRIVER"] == "container"

    @property
    def left_out(self) -> str:
        """What this machine could not do, as one sentence; empty when nothing was left out."""
        if self.in_containers:
            return ""
        reason = "machines run as processes here" if answering_host() else "no Docker daemon answers"
        return _NO_CONTAINERS.format(reason=reason)

    def plain_config(self) -> dict[str, Any]:
        """Settings that the template leaves open."""
        return {
            "github:baseUrl": self.addresses["GITHUB_BASE_URL"],
            "prefect-fly:fly": {"urlTemplate": self.addresses["SANDBOX_SERVER_URL"]},
            "prefect-fly:orchestrator": {"healthUrl": f"{self.addresses['SANDBOX_ORCHESTRATOR_URL']}/health"},
            "prefect-fly:image": self._image(),
        }

    def secret_config(self) -> dict[str, str]:
        """Settings that are kept encrypted."""
        authority = Path(self.addresses["SANDBOX_DATABASE_CA_FILE"]).read_text(encoding="utf-8")
        return {"databaseUrl": self.addresses["SANDBOX_DATABASE_URL"], "databaseCa": authority}

    def _image(self) -> dict[str, Any]:
        if not self.in_containers:
            return {"reference": self.addresses["SANDBOX_SERVER_IMAGE"]}
        return {
            "build": True,
            "registry": self.addresses["SANDBOX_REGISTRY"],
            "base": self.addresses["SANDBOX_BASE_IMAGE"],
            "buildNetwork": "host",
        }
