"""Which image the server's machines run, by digest."""

from __future__ import annotations

from clients.fly import FlyClient
from clients.fly.errors import FlyError
from clients.fly.model import Machine
from clients.fly.operations.unknown_machines import lasting


def image_of(machine: Machine) -> str:
    """Return the reference of the machine's image by digest, empty when Fly does not say the digest."""
    stated = str(machine.config.get("image") or "")
    if "@sha256:" in stated:
        return stated
    ref = machine.image
    return f"{ref.registry}/{ref.repository}@{ref.digest}" if ref.registry and ref.digest else ""


def image_before(fly: FlyClient, app: str, wanted: str) -> str:
    """Return the image that the app's machines run and `wanted` is to replace, empty when it cannot be told."""
    try:
        images = {image_of(machine) for machine in lasting(fly.machines.list(app))} - {wanted}
    except FlyError:
        # It is a note for a later restore: no reason to hold up a migration.
        return ""
    return images.pop() if len(images) == 1 else ""
