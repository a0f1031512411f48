"""Certificates for names of one's own (`/apps/{app}/certificates`).

Shapes: Fly's published API description. A name has one entry; what was issued for it is in `certificates`, which is
empty until then. "configured" says whether the name's DNS leads to the app.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from clients.fly.errors import FlyNotFoundError
from clients.fly.wire import Wire, path
from clients.shapes import identity, record, records, whole_object
from clients.transport import Call


@dataclass(frozen=True, kw_only=True)
class DnsRecord:
    """A record to add at the DNS provider; `purpose` says for what."""

    type: str
    name: str
    value: str
    purpose: str

    def to_plain(self) -> dict[str, str]:
        """Return it as a row of a table."""
        return {"type": self.type, "name": self.name, "value": self.value, "purpose": self.purpose}


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """A name and its certificate.

    Attributes:
        hostname: the name.
        status: Fly's word for the whole: pending_validation, pending_ownership, active.
        configured: the name's DNS leads to the app.
        issued: there is a certificate that Fly serves.
        acme_requested: Fly gets and renews certificates for it.
        records: what may be added to the DNS.
        seen: what the name's DNS holds; None when Fly did not look: only a check tells.
        errors: why it could not be issued, newest last.
        rate_limited_until: until when the authority takes no more requests; empty when it does.
    """

    hostname: str
    status: str
    configured: bool
    issued: bool
    acme_requested: bool
    records: tuple[DnsRecord, ...]
    seen: tuple[str, ...] | None
    errors: tuple[str, ...]
    rate_limited_until: str

    @classmethod
    def from_wire(cls, body: object) -> Certificate:
        """Read a reply; unknown fields are ignored.

        Raises:
            ShapeError: it is no certificate.
        """
        entry = whole_object(body)
        hostname = identity(entry, "hostname")
        return cls(
            hostname=hostname,
            status=str(entry.get("status") or ""),
            configured=bool(entry.get("configured")),
            issued=any(each.get("status") == "active" for each in records(entry.get("certificates"))),
            acme_requested=bool(entry.get("acme_requested")),
            records=tuple(_records(hostname, record(entry.get("dns_requirements")))),
            seen=tuple(_seen(record(entry["dns_records"]))) if "dns_records" in entry else None,
            errors=tuple(_sentence(each) for each in records(entry.get("validation_errors"))),
            rate_limited_until=str(entry.get("rate_limited_until") or ""),
        )


class Certificates:
    """Find, request, check and remove certificates."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def get(self, app: str, hostname: str) -> Certificate:
        """Return what is known of a name, without looking at its DNS.

        Raises:
            FlyNotFoundError: the app does not have the name, or there is no such app that this token may see.
        """
        doing = f'read the certificate of "{hostname}" (app "{app}")'
        return self._wire.get(doing, _path(app, hostname), Certificate.from_wire, pace=f"get-cert:{app}")

    def find(self, app: str, hostname: str) -> Certificate | None:
        """Return what is known of a name, or None when the API answers 404. Only creating may read that as "free"."""
        try:
            return self.get(app, hostname)
        except FlyNotFoundError:
            return None

    def request(self, app: str, hostname: str) -> Certificate:
        """Take a name and let Fly get a certificate for it. Look for it first: a second request is refused.

        Raises:
            FlyRefusedError: the name is no hostname, or not to be had.
        """
        call = Call(
            method="POST",
            path=path("apps", app, "certificates", "acme"),
            json={"hostname": hostname},
            pace=f"request-cert:{app}",
            reads=True,
        )
        return self._wire.read(_requesting(app, hostname), call, Certificate.from_wire)

    def check(self, app: str, hostname: str) -> Certificate:
        """Let Fly look at the name's DNS, go on from there, and tell what it found.

        Raises:
            FlyNotFoundError: the app does not have the name.
        """
        call = Call(
            method="POST", path=_path(app, hostname, "check"), idempotent=True, pace=f"check-cert:{app}", reads=True
        )
        return self._wire.read(f'check the DNS of "{hostname}" (app "{app}")', call, Certificate.from_wire)

    def remove(self, app: str, hostname: str) -> None:
        """Give a name up, with its certificates.

        Raises:
            FlyNotFoundError: the app does not have the name, or is not there.
        """
        call = Call(method="DELETE", path=_path(app, hostname), idempotent=True, pace=f"remove-cert:{app}")
        self._wire.send(f'remove the certificate of "{hostname}" (app "{app}")', call)


def _path(app: str, hostname: str, *more: str) -> str:
    return path("apps", app, "certificates", hostname, *more)


def _requesting(app: str, hostname: str) -> str:
    return f'request a certificate for "{hostname}" (app "{app}")'


def _records(hostname: str, wanted: dict[str, Any]) -> list[DnsRecord]:
    challenge, ownership = record(wanted.get("acme_challenge")), record(wanted.get("ownership"))
    traffic = "leads to the server, unless A and AAAA do"
    rows = [
        ("CNAME", hostname, wanted.get("cname"), traffic),
        *(("A", hostname, address, "instead of the CNAME, with the AAAA") for address in _texts(wanted.get("a"))),
        *(("AAAA", hostname, address, "instead of the CNAME, with the A") for address in _texts(wanted.get("aaaa"))),
        ("CNAME", challenge.get("name"), challenge.get("target"), "certificate before the name leads here"),
        ("TXT", ownership.get("name"), ownership.get("app_value"), "only when Fly asks for proof of ownership"),
    ]
    return [
        DnsRecord(type=kind, name=str(name), value=str(value), purpose=purpose)
        for kind, name, value, purpose in rows
        if name and value
    ]


def _seen(found: dict[str, Any]) -> list[str]:
    return [f"{kind.upper()} {value}" for kind in ("cname", "a", "aaaa") for value in _texts(found.get(kind))]


def _texts(given: object) -> list[str]:
    return [each for each in given if isinstance(each, str)] if isinstance(given, list) else []


def _sentence(error: dict[str, Any]) -> str:
    said = [str(error.get(key) or "").strip().rstrip(".") for key in ("message", "remediation")]
    return ". ".join(part for part in said if part)
