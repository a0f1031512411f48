"""The server's image: built from docker/prefect and pushed to the app's registry, or one built from it elsewhere.

Owns the push. Does not own what is in the registry: destroying removes nothing there, and the image is kept on delete,
because the rollback must not need a Docker daemon.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from clients.fly.tokens import registry_password
from clients.names import FLY_TOKEN, REGISTRY_TOKEN
from components.children import child_options
from components.type_tokens import DOCKER_IMAGE
from settings.groups import ImageSettings
from settings.rules import FLY_REGISTRY

_CONTEXT = "docker/prefect"
# Any name works; the registry looks at the password alone.
_REGISTRY_USER = "x"


@dataclass(frozen=True, kw_only=True)
class DockerImageArgs:
    """Inputs of DockerImage.

    Attributes:
        image: what the stack says of the image.
        app: the Fly app whose registry it is pushed to; must exist before the push.
        app_id: changes when the app was made anew, which empties its registry and so asks for another push.
    """

    image: ImageSettings
    app: pulumi.Input[str]
    app_id: pulumi.Input[str]


class DockerImage(pulumi.ComponentResource):
    """An image in the registry; `reference` names it by digest."""

    reference: pulumi.Output[str]

    def __init__(self, name: str, args: DockerImageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(DOCKER_IMAGE, name, None, opts)
        if args.image.reference is not None:
            self.reference = pulumi.Output.from_input(args.image.reference)
        else:
            image = docker.Image(
                name,
                image_name=pulumi.Output.concat(args.image.registry, "/", args.app, ":prefect"),
                build=_build(args.image),
                registry=_registry(args.image.registry),
                build_on_preview=False,
                skip_push=False,
                opts=child_options(self, opts, retain_on_delete=True, replacement_trigger=args.app_id),
            )
            self.reference = image.repo_digest
        self.register_outputs({"reference": self.reference})


def _build(image: ImageSettings) -> docker.DockerBuildArgs:
    return docker.DockerBuildArgs(
        context=_CONTEXT,
        dockerfile=f"{_CONTEXT}/Dockerfile",
        platform="linux/amd64",
        args={"BASE_IMAGE": image.base} if image.base else None,
        network=image.build_network,
    )


def _registry(server: str) -> docker.RegistryArgs:
    # Always present: a fork's preview, which has no token, must not show a difference.
    token = os.environ.get(REGISTRY_TOKEN, "")
    if not token and server == FLY_REGISTRY:
        pulumi.log.warn(
            f"{REGISTRY_TOKEN} is not set, so the image is pushed with {FLY_TOKEN}, which then stands (encrypted) in "
            "the state: whoever may read it can change the whole organisation. Set it to a deploy token of "
            'the server\'s app ("fly tokens create deploy -a <app>").'
        )
    password = registry_password(token or os.environ.get(FLY_TOKEN, ""))
    return docker.RegistryArgs(server=server, username=_REGISTRY_USER, password=pulumi.Output.secret(password))
