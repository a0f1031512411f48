"""What the emulated Fly says: its objects as the JSON of the published OpenAPI description."""

from __future__ import annotations

from typing import Any

from sandbox.core.clock import Clock
from sandbox.fly.models import Address, App, Event, Lease, Machine, Secret, Token
from sandbox.images import parse_reference

_AT_REST = frozenset({"stopped", "suspended", "failed"})


def app_json(app: App) -> dict[str, Any]:
    """Return an App."""
    machines = app.live_machines
    at_rest = all(machine.state in _AT_REST for machine in machines)
    status = "pending" if not machines else ("suspended" if at_rest or app.suspended else "deployed")
    return {
        "id": app.id,
        "name": app.name,
        "internal_numeric_id": app.numeric_id,
        "machine_count": len(machines),
        "volume_count": 0,
        "network": app.network,
        "status": status,
        "organization": {"name": app.org, "slug": app.org, "internal_numeric_id": organization_number(app.org)},
    }


def organization_number(slug: str) -> int:
    """Return the numeric id of an organization; any stable number does."""
    return int.from_bytes(slug.encode(), "big") % 900_000 + 100_000


def token_json(token: Token) -> dict[str, Any]:
    """Return one entry of the current tokens."""
    return {
        "token_id": token.token_id,
        "org_slug": token.org,
        "organization": token.org,
        "apps": token.apps or [],
        "user": token.user,
        "restricted_to_machine": "",
        "source_machine_id": "",
    }


def secret_json(secret: Secret, clock: Clock) -> dict[str, Any]:
    """Return an AppSecret; never with its value."""
    return {
        "name": secret.name,
        "digest": secret.digest,
        "created_at": clock.rfc3339(secret.created_at),
        "updated_at": clock.rfc3339(secret.updated_at),
    }


def address_json(address: Address, clock: Clock) -> dict[str, Any]:
    """Return an IPAssignment."""
    return {
        "ip": address.ip,
        "type": address.kind,
        "region": address.region,
        "service_name": "",
        "shared": address.shared,
        "created_at": clock.rfc3339(address.created_at),
    }


def event_json(event: Event) -> dict[str, Any]:
    """Return a MachineEvent."""
    body: dict[str, Any] = {
        "id": event.id,
        "type": event.type,
        "status": event.status,
        "source": event.source,
        "timestamp": event.timestamp_ms,
    }
    if event.request is not None:
        body["request"] = event.request
    return body


def lease_json(lease: Lease) -> dict[str, Any]:
    """Return the envelope around a Lease; the description shows it flat, the API wraps it."""
    data = {
        "nonce": lease.nonce,
        "expires_at": int(lease.expires_at),
        "owner": lease.owner,
        "description": lease.description,
        "version": lease.version,
    }
    return {"status": "success", "data": data}


def machine_json(machine: Machine, clock: Clock, *, nonce: str | None = None) -> dict[str, Any]:
    """Return a Machine; `nonce` only right after a create or update that asked for a lease."""
    reference = parse_reference(machine.config["image"])
    body: dict[str, Any] = {
        "id": machine.id,
        "name": machine.name,
        "state": machine.state,
        "region": machine.region,
        "instance_id": machine.instance_id,
        "private_ip": machine.private_ip,
        "image_ref": {
            "registry": reference.registry,
            "repository": reference.repository,
            "tag": reference.tag,
            "digest": machine.image_digest,
            "labels": {},
        },
        "config": machine.config,
        "created_at": clock.rfc3339(machine.created_at),
        "updated_at": clock.rfc3339(machine.updated_at),
        "events": [event_json(event) for event in machine.events],
        "host_status": machine.host_status,
        "cordoned": machine.cordoned,
    }
    if machine.host_status == "ok":
        body["checks"] = checks_json(machine, clock)
    else:
        # A host that does not answer cannot say what its machines are configured to do.
        body["incomplete_config"] = body.pop("config")
    if nonce is not None:
        body["nonce"] = nonce
    return body


def checks_json(machine: Machine, clock: Clock) -> list[dict[str, Any]]:
    """Return the results of all checks that have been set up so far."""
    return [
        {
            "name": check.name,
            "status": check.status,
            "output": check.output,
            "updated_at": clock.rfc3339(check.updated_at),
        }
        for check in machine.checks.values()
    ]
