"""What fly:Machine keeps in the state, and how it tells changes from it; pure functions."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from clients.endpoints import World
from clients.fly.config import differences, normalised, observed, stays_up, with_marks, without_marks
from clients.fly.model import Machine as FlyMachine
from clients.fly.operations.pairs import successor_of
from clients.fly.operations.waiting import HEALTHY_WITHIN
from clients.fly.operations.wanted import Probe, WantedMachine
from clients.prefect import PrefectClient, PrefectError
from providers.lifecycle import Props, plain, unknown

REPLACES = ("app", "name", "region", "endpoints")
# The version of the secrets is no reason by itself: what a running machine follows without a restart is among them.
RESTARTS = ("secrets_fingerprint",)
# How long to wait, how to update and what creating may take over are no state: they alone change no machine.
UPDATES = ("owner",)
OUTPUTS = ("machine_id", "instance_id", "private_ip", "image_digest", "revision", "drifted", "org")


def wanted_of(props: Props) -> WantedMachine:
    """Return what the props ask for, with our marks on the config."""
    known = plain(props)
    return WantedMachine(
        app=known["app"],
        name=known["name"],
        region=known["region"],
        owner=known["owner"],
        config=with_marks(known["config"], name=known["name"], owner=known["owner"], region=known["region"]),
        min_secrets_version=known.get("min_secrets_version", 0),
        healthy_within=known.get("healthy_timeout", HEALTHY_WITHIN),
        adopt=known.get("adopt", False),
        strategy=known.get("strategy", "rolling"),
        probe=_probe(known),
    )


def _probe(known: Props) -> Probe | None:
    """Return what asks a new machine through the edge whether it is ready and closed; None where nothing is routed."""
    if not known.get("url") or not known["config"].get("services"):
        return None
    server = PrefectClient.at(known["url"], World(known["endpoints"]))

    def problem(machine_id: str) -> str:
        try:
            server.ready(machine_id)
            status = server.api_status(instance_id=machine_id)
        except PrefectError as error:
            return error.said
        return "" if status == HTTPStatus.UNAUTHORIZED else f"it answers HTTP {status} to a request without a key"

    return problem


def config_changed(olds: Props, news: Props) -> bool:
    """Tell whether the configs differ in meaning; an unknown one may."""
    config = news.get("config")
    if unknown(config) or not isinstance(config, Mapping):
        return True
    before, after = normalised(olds["config"]), normalised(config)
    # Both ways: what only one of the two states is a change as well.
    return bool(differences(after, before) or differences(before, after))


def state_drift(machine: FlyMachine) -> list[str]:
    """Return what is wrong with the machine apart from its config: stopped, cordoned and the like."""
    found = []
    if machine.state != "started" and stays_up(machine.config):
        found.append(f"state: {machine.state}")
    if machine.host_status == "unreachable":
        found.append("host: unreachable")
    if machine.cordoned:
        found.append("cordoned")
    if successor_of(machine):
        found.append("update: interrupted")
    return found


def outputs(props: Props, machine: FlyMachine, org: str) -> dict[str, Any]:
    """Return all outputs after a write."""
    image = str(machine.config.get("image", ""))
    pinned = image.partition("@")[2]
    inputs = {key: value for key, value in plain(props).items() if key not in OUTPUTS}
    return inputs | {
        "machine_id": machine.id,
        "instance_id": machine.instance_id,
        "private_ip": machine.private_ip,
        "image_digest": machine.image.digest or pinned,
        "revision": hashlib.sha256(f"{machine.id}/{machine.instance_id}".encode()).hexdigest()[:16],
        "drifted": [],
        "org": org,
    }


def seen(props: Props, machine: FlyMachine) -> dict[str, Any]:
    """Return all outputs after a read: the wanted config with the values that somebody else changed.

    Instance id and revision stay those of our last write: a stranger's restart changes neither. They move with the
    machine when another one took its place and the run that made it could not write that down.
    """
    known = plain(props)
    if machine.id != known["machine_id"]:
        known = outputs(props, machine, known["org"])
    config, drifted = known["config"], state_drift(machine)
    # A host that does not answer cannot say what its machines are configured to do.
    if machine.host_status in {"ok", ""}:
        marked = wanted_of(props).config
        config = without_marks(marked, config, observed(marked, machine.config))
        drifted = [*differences(marked, machine.config), *drifted]
    return known | {
        "config": config,
        "drifted": drifted,
        "private_ip": machine.private_ip or known.get("private_ip", ""),
    }
