"""Certificates of an app, and the control call that fills the sandbox's DNS."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from aiohttp import web

from sandbox.core.service import read_json
from sandbox.fly import certificates
from sandbox.fly.calls import Calls, answering, body_of
from sandbox.fly.errors import NotFound, Unprocessable
from sandbox.fly.models import App, Certificate

_HOSTNAME = re.compile(r"(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")
_TYPES = frozenset({"A", "AAAA", "CNAME", "TXT"})


class CertificateRoutes:
    """Routes below /apps/{app}/certificates, but for certificates that people bring along."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def routes(self) -> list[web.RouteDef]:
        """Return them."""
        one = "/v1/apps/{app}/certificates/{hostname}"
        return [
            web.post("/_sandbox/fly/dns", self.set_dns),
            web.get("/v1/apps/{app}/certificates", answering(self.list_all)),
            web.post("/v1/apps/{app}/certificates/acme", answering(self.request)),
            web.get(one, answering(self.show)),
            web.delete(one, answering(self.remove)),
            web.post(f"{one}/check", answering(self.check)),
            web.delete(f"{one}/acme", answering(self.remove_acme)),
        ]

    async def set_dns(self, request: web.Request) -> web.Response:
        """Write the records of one `name` and `type`; `values` is a list, and an empty one removes them."""
        try:
            body = await read_json(request)
            name, kind, values = str(body["name"]).lower(), str(body["type"]), [str(item) for item in body["values"]]
        except (KeyError, TypeError, ValueError):
            kind = ""
        if kind not in _TYPES:
            refusal = {"error": f"give name, type (one of {', '.join(sorted(_TYPES))}) and values (a list)"}
            return web.json_response(refusal, status=400)
        self._calls.state.set_dns(name, kind, values)
        self._calls.edge.refresh(name)
        return web.json_response({"name": name, "url": self._calls.edge.url_of(name)})

    async def list_all(self, request: web.Request) -> web.Response:
        """Return an app's certificates; pages are not emulated."""
        app, wanted = self._calls.app(request), request.query.get("filter", "")
        listed = [item for name, item in app.certificates.items() if wanted in name]
        found = [self._said(certificates.summary_json, app, item) for item in listed]
        return web.json_response({"certificates": found, "next_cursor": "", "total_count": len(found)})

    async def request(self, request: web.Request) -> web.Response:
        """Take a name and begin to get a certificate for it."""
        app, body = self._calls.app(request), await body_of(request)
        hostname = str(body.get("hostname") or "")
        if not _HOSTNAME.fullmatch(hostname):
            raise Unprocessable("Validation failed: Hostname is invalid")
        certificate = app.certificates.get(hostname)
        if certificate is not None and certificate.acme_requested:
            raise Unprocessable("Validation failed: Hostname already exists on app")
        certificate = certificate or Certificate(hostname, self._calls.clock.time())
        certificate.acme_requested = True
        app.certificates[hostname] = certificate
        self._look(app, certificate)
        return web.json_response(self._said(certificates.detail_json, app, certificate), status=201)

    async def show(self, request: web.Request) -> web.Response:
        """Return one certificate."""
        app, certificate = self._of(request)
        return web.json_response(self._said(certificates.detail_json, app, certificate))

    async def check(self, request: web.Request) -> web.Response:
        """Look at the DNS, go on from there, and return what was found."""
        app, certificate = self._of(request)
        self._look(app, certificate)
        return web.json_response(self._said(certificates.check_json, app, certificate))

    async def remove(self, request: web.Request) -> web.Response:
        """Give the name up."""
        app, certificate = self._of(request)
        del app.certificates[certificate.hostname]
        self._calls.edge.refresh(certificate.hostname)
        return web.Response(status=204)

    async def remove_acme(self, request: web.Request) -> web.Response:
        """Drop what was issued and renew it no more; the name stays."""
        app, certificate = self._of(request)
        certificate.acme_requested, certificate.issued_at = False, None
        self._calls.edge.refresh(certificate.hostname)
        return web.json_response(self._said(certificates.detail_json, app, certificate))

    def _of(self, request: web.Request) -> tuple[App, Certificate]:
        app = self._calls.app(request)
        certificate = app.certificates.get(request.match_info["hostname"])
        if certificate is None:
            raise NotFound("certificate not found")
        return app, certificate

    def _look(self, app: App, certificate: Certificate) -> None:
        state = self._calls.state
        certificates.look(app, certificate, state.dns, state.apps.values(), self._calls.clock.time())

    def _said(self, shape: Callable[..., dict[str, Any]], app: App, certificate: Certificate) -> dict[str, Any]:
        # Whoever hears that it is issued may use the name at once.
        self._calls.edge.refresh(certificate.hostname)
        state = self._calls.state
        return shape(app, certificate, state.dns, state.apps.values(), self._calls.clock)
