"""Certificates for names of one's own, and the DNS that they depend on: what is asked, found, issued, and said of it.

The DNS is a table of the sandbox's own, filled by a control call; nothing is looked up. Fly looks at it when a
certificate is asked for or checked, never by itself. Once it is right the certificate takes `ISSUE_SECONDS`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from sandbox.core.clock import Clock
from sandbox.fly.models import App, Certificate

ISSUE_SECONDS = 2.0
_LIFETIME_SECONDS = 90 * 86_400
Zone = Mapping[str, Mapping[str, list[str]]]
"""Lower-case name → record type → values."""


def requirements(app: App, hostname: str) -> dict[str, Any]:
    """Return DNSRequirements: every way there is, whether or not the name is the top of a zone."""
    mark = hashlib.sha256(f"{app.id} {hostname}".encode()).hexdigest()[:7]
    return {
        "a": [address.ip for address in app.addresses if address.kind in {"v4", "shared_v4"}],
        "aaaa": [address.ip for address in app.addresses if address.kind == "v6"],
        "cname": f"{mark}.{app.name}.fly.dev",
        "acme_challenge": {"name": f"_acme-challenge.{hostname}", "target": f"{hostname}.{mark}.flydns.net"},
        "ownership": {"name": f"_fly-ownership.{hostname}", "app_value": f"app-{mark}", "org_value": f"org-{app.org}"},
    }


def records(zone: Zone, name: str, kind: str) -> list[str]:
    """Return the values of the records of one type, without trailing dots."""
    return [value.rstrip(".") for value in zone.get(name, {}).get(kind, [])]


def leads_to(app: App, zone: Zone, hostname: str) -> bool:
    """Tell whether the name leads to the app: by CNAME, or by both an A and an AAAA record of its addresses."""
    wanted = requirements(app, hostname)
    if set(records(zone, hostname, "CNAME")) & {wanted["cname"], f"{app.name}.fly.dev"}:
        return bool(app.addresses)
    return all(set(records(zone, hostname, kind.upper())) & set(wanted[kind]) for kind in ("a", "aaaa"))


def validation(app: App, zone: Zone, hostname: str) -> dict[str, bool]:
    """Return CertificateValidation: which of the ways to prove the name are open."""
    wanted, leads = requirements(app, hostname), leads_to(app, zone, hostname)
    challenge, ownership = wanted["acme_challenge"], wanted["ownership"]
    texts = set(records(zone, ownership["name"], "TXT"))
    return {
        "dns_configured": challenge["target"] in records(zone, challenge["name"], "CNAME"),
        "alpn_configured": leads,
        "http_configured": leads,
        "ownership_txt_configured": bool(texts & {ownership["app_value"], ownership["org_value"]}),
    }


def owned(app: App, certificate: Certificate, zone: Zone, apps: Iterable[App]) -> bool:
    """Tell whether the name is this app's to have: nobody else's, or proved by the ownership record."""
    contested = any(certificate.hostname in other.certificates for other in apps if other.org != app.org)
    return not contested or validation(app, zone, certificate.hostname)["ownership_txt_configured"]


def look(app: App, certificate: Certificate, zone: Zone, apps: Iterable[App], now: float) -> None:
    """Look at the DNS, as a request or a check does, and begin to issue when it is right."""
    open_ways = validation(app, zone, certificate.hostname)
    proved = open_ways["dns_configured"] or open_ways["alpn_configured"]
    if certificate.acme_requested and certificate.issued_at is None and proved and owned(app, certificate, zone, apps):
        certificate.issued_at = now + ISSUE_SECONDS


def active(certificate: Certificate, now: float) -> bool:
    """Tell whether it is issued."""
    return certificate.issued_at is not None and certificate.issued_at <= now


def detail_json(app: App, certificate: Certificate, zone: Zone, apps: Iterable[App], clock: Clock) -> dict[str, Any]:
    """Return a CertificateDetail. `certificates` is empty until one is issued."""
    issued = active(certificate, clock.time())
    waiting = "pending_validation" if owned(app, certificate, zone, apps) else "pending_ownership"
    return {
        "hostname": certificate.hostname,
        "configured": leads_to(app, zone, certificate.hostname),
        "status": "active" if issued else waiting,
        "acme_requested": certificate.acme_requested,
        "dns_provider": "",
        "dns_requirements": requirements(app, certificate.hostname),
        "validation": validation(app, zone, certificate.hostname),
        "certificates": [_entry_json(certificate, clock)] if issued else [],
    }


def check_json(app: App, certificate: Certificate, zone: Zone, apps: Iterable[App], clock: Clock) -> dict[str, Any]:
    """Return a CertificateCheckResponse: the detail, and what the DNS holds."""
    hostname = certificate.hostname
    wanted = requirements(app, hostname)
    found = {
        "a": records(zone, hostname, "A"),
        "aaaa": records(zone, hostname, "AAAA"),
        "cname": records(zone, hostname, "CNAME"),
        "acme_challenge_cname": "".join(records(zone, wanted["acme_challenge"]["name"], "CNAME")[:1]),
        "ownership_txt": "".join(records(zone, wanted["ownership"]["name"], "TXT")[:1]),
        "resolved_addresses": records(zone, hostname, "A") + records(zone, hostname, "AAAA"),
    }
    return {**detail_json(app, certificate, zone, apps, clock), "dns_records": found}


def summary_json(app: App, certificate: Certificate, zone: Zone, apps: Iterable[App], clock: Clock) -> dict[str, Any]:
    """Return a CertificateSummary."""
    detail = detail_json(app, certificate, zone, apps, clock)
    ways = detail["validation"]
    return {
        **{key: detail[key] for key in ("hostname", "status", "configured", "acme_requested", "dns_provider")},
        "acme_dns_configured": ways["dns_configured"],
        "acme_alpn_configured": ways["alpn_configured"],
        "acme_http_configured": ways["http_configured"],
        "ownership_txt_configured": ways["ownership_txt_configured"],
        "has_custom_certificate": False,
        "has_fly_certificate": bool(detail["certificates"]),
        "created_at": clock.rfc3339(certificate.created_at),
        "updated_at": clock.rfc3339(certificate.issued_at or certificate.created_at),
    }


def _entry_json(certificate: Certificate, clock: Clock) -> dict[str, Any]:
    issued_at = certificate.issued_at or 0.0
    expires = clock.rfc3339(issued_at + _LIFETIME_SECONDS)
    kinds = ("rsa", "ecdsa")
    return {
        "source": "fly",
        "status": "active",
        "created_at": clock.rfc3339(issued_at),
        "expires_at": expires,
        "issued": [{"type": kind, "expires_at": expires, "certificate_authority": "lets_encrypt"} for kind in kinds],
    }
