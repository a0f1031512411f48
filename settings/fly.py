"""The group `fly`: where the server runs, and under which address everybody is given it."""

from __future__ import annotations

from settings.group import NAME, REGION, URL, Group, setting

HOSTNAME = r"^[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*\.[a-z][a-z0-9-]*[a-z0-9]$"


class FlySettings(Group):
    """Where the server runs."""

    org: str = setting(doc="Fly organisation slug", example="captionacc", min_length=1)
    region: str = setting("ewr", doc="Fly region of the server", pattern=REGION)
    app: str = setting(doc="name of the server's Fly app, unique in all of Fly", example="acme-prefect", pattern=NAME)
    adopt_existing: bool = setting(False, doc="take over an app of that name that already runs machines")
    url_template: str = setting("https://{app}.fly.dev", doc="public address of the server", pattern=URL)
    domain: str | None = setting(
        None,
        doc="name of one's own, in lower case; `up` asks for its certificate and tells the DNS records to add",
        example="prefect.example.com",
        pattern=HOSTNAME,
        max_length=253,
    )
    use_domain: bool = setting(
        False, doc="let everything use fly.domain; `up` waits until it leads to the server and its certificate is valid"
    )
    domain_url_template: str = setting("https://{domain}", doc="address of the server at fly.domain", pattern=URL)

    private: bool = setting(
        False, doc="no public address: the server is reached inside the organisation's network alone (Flycast)"
    )
    private_url_template: str = setting(
        "http://{app}.flycast", doc="address of the server in that network, with fly.private", pattern=URL
    )

    @property
    def app_url(self) -> str:
        """The address that Fly gives the app, without a trailing slash."""
        template = self.private_url_template if self.private else self.url_template
        return template.replace("{app}", self.app).rstrip("/")

    @property
    def reach(self) -> str | None:
        """How verbs reach a private server: through one of its machines; None for a public one."""
        return "machine" if self.private else None

    @property
    def proxy_command(self) -> str:
        """What brings a private server to http://localhost:4200; empty for a public one."""
        return f"fly proxy 4200:80 {self.app}.flycast -a {self.app}" if self.private else ""

    @property
    def domain_url(self) -> str:
        """The address at the name of one's own, without a trailing slash; empty without such a name."""
        return self.domain_url_template.replace("{domain}", self.domain).rstrip("/") if self.domain else ""

    @property
    def server_url(self) -> str:
        """The address that everybody is given, without a trailing slash."""
        return self.domain_url if self.use_domain else self.app_url
