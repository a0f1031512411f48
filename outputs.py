"""What a stack tells people and other programs: its outputs and its README."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from clients.names import LOGIN_KEYS_OUTPUT
from components import stack
from components.api_keys import ApiKeys
from components.fly_machines import machine_keys
from components.orchestrator_wiring import OrchestratorWiring
from components.prefect_server import PrefectServer
from costs import monthly_usd, unpriced
from settings import Settings
from settings.fly import FlySettings

_CLOUD_README = """\
# Prefect Cloud, stack {stack}

The orchestrator `{orchestrator}` uses the workspace at {api_url}.

- [ ] Tell the team where the UI is: https://app.prefect.cloud
- Rollback: `pulumi destroy --refresh`
"""

_SERVER_README = """\
# Prefect server, stack {stack}

UI: {ui} (log in with `pulumi stack output --show-secrets uiLogin`)
Lineage: at /lineage of the same address, with the same logins: which data comes from which
API: {api_url}
Orchestrator: `{orchestrator}` ({connected})
Cost: {cost}

What is left to do by hand:

- [ ] Log in to the UI and look at the first flow run.
- [ ] Give each person a login of their own: `prefect-fly:logins: {more_logins}` in Pulumi.{stack}.yaml, then `pulumi up`.
      Instead of a name, `{{name: anna, rights: viewer, expires: "2027-01-31"}}`; `pulumi stack output uiLogins` lists them.
- [ ] Choose who is called when the Better Stack monitor fails.
- [ ] Update the team's documentation with the two addresses above.
- Detach the orchestrator, keep the server: `pulumi config set --path prefect-fly:orchestrator.connected false`, `pulumi up`.
- Roll everything back: `pulumi destroy --refresh`. The database keeps schema and history.
"""  # noqa: E501 - commands are copied whole


def export(
    settings: Settings, keys: ApiKeys | None, server: PrefectServer | None, wiring: OrchestratorWiring | None
) -> None:
    """Export the stack's outputs; secrets stay secret."""
    pulumi.export("mode", settings.mode)
    pulumi.export("apiUrl", settings.api_url)
    pulumi.export("orchestratorConnected", wiring is not None)
    if wiring is not None:
        pulumi.export("redeployRun", wiring.run_url)
    cost = _cost(settings)
    pulumi.export("monthlyCostUsd", cost)
    if server is not None and keys is not None:
        _export_server(settings, keys, server)
    pulumi.export("nextSteps", _next_steps(settings))
    pulumi.export("readme", readme(settings, cost))


def _export_server(settings: Settings, keys: ApiKeys, server: PrefectServer) -> None:
    pulumi.export("serverUrl", settings.server_url)
    pulumi.export("uiUrl", _ui_url(settings))
    if settings.fly and settings.fly.private:
        pulumi.export("proxyCommand", settings.fly.proxy_command)
    if settings.fly and settings.fly.domain:
        _export_domain(settings.fly, settings.fly.domain, server)
    kept = {login.name: keys.credential(login.name) for login in settings.logins if not login.sha256}
    pulumi.export("uiLogin", next(iter(kept.values()), None))
    pulumi.export(LOGIN_KEYS_OUTPUT, pulumi.Output.secret(kept))
    pulumi.export("uiLogins", logins_table(settings))
    pulumi.export("image", server.image)
    pulumi.export("machineIds", server.machine_ids)
    pulumi.export("keyNames", keys.names)
    if settings.connections:
        pulumi.export("databaseConnections", settings.connections.describe())
    pulumi.export("updateStrategy", settings.strategy_reason)


def _export_domain(fly: FlySettings, domain: str, server: PrefectServer) -> None:
    """Export the records to add, and in words what a preview knows of them before there is a certificate."""
    # A list with an element of its own for the addresses: a first preview knows the rest, and shows it.
    pulumi.export(
        "domainSetup",
        [
            f"at the DNS provider: CNAME {domain} → {fly.app}.fly.dev",
            server.app.addresses.apply(lambda known: f"or, at the top of a zone: {_address_records(domain, known)}"),
            "all there is to add, once Fly knows the name: pulumi stack output dnsRecords",
            f"everything uses {fly.server_url}"
            if fly.use_domain
            else f"everything uses {fly.server_url} until fly.useDomain is true",
        ],
    )
    pulumi.export("dnsRecords", server.app.certificate.dns_records if server.app.certificate else [])


def _address_records(domain: str, addresses: Sequence[str]) -> str:
    return " and ".join(f"{'AAAA' if ':' in address else 'A'} {domain} → {address}" for address in addresses)


def logins_table(settings: Settings) -> str:
    """Return who may log in, with what rights, until when and how; no key stands in it."""
    rows = [("login", "rights", "expires", "log in with")]
    for login in settings.logins:
        how = f"python -m ops login {settings.stack} --login {login.name}"
        own = f"{login.name}:<the key that {login.name} made>"
        rows.append((login.name, login.rights, login.expires or "never", own if login.sha256 else how))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]) for row in rows
    ]
    return "\n".join([_ui_url(settings), *lines])


def _ui_url(settings: Settings) -> str:
    # Where people find a private server while the proxy command runs; its own address leads nowhere on their machines.
    return "http://localhost:4200/" if settings.private else f"{settings.server_url}/"


def _cost(settings: Settings) -> float | None:
    if settings.fly is None:
        return 0.0
    vm, machines = settings.vm, stack.machine_settings(settings, settings.fly)
    regions = [key.region for key in machine_keys(settings.machine_regions, machines)]
    return monthly_usd(cpu_kind=vm.cpu_kind, cpus=vm.cpus, memory_mb=vm.memory_mb, regions=regions)


def _next_steps(settings: Settings) -> list[str]:
    steps = ["pulumi stack output readme"]
    if settings.mode == "self-hosted":
        steps.insert(0, "pulumi stack output --show-secrets uiLogin")
    if settings.fly and settings.fly.domain and not settings.fly.use_domain:
        steps.append("pulumi stack output dnsRecords: add these at the DNS provider of the domain")
        steps.append("pulumi config set --path prefect-fly:fly.useDomain true, then pulumi up")
    if settings.fly and settings.fly.private:
        steps.append(f"{settings.fly.proxy_command}: then the UI is at http://localhost:4200/")
        steps.append("no GitHub secrets: GitHub's runners cannot reach a private server")
    if not settings.orchestrator.connected:
        steps.append("pulumi config set --path prefect-fly:orchestrator.connected true, then pulumi up")
    return steps


def readme(settings: Settings, cost: float | None) -> str:
    """The stack's README: addresses, cost, and the list of what is left to do by hand."""
    template = _CLOUD_README if settings.mode == "cloud" else _SERVER_README
    return template.format(
        stack=settings.stack,
        ui=(
            f"{_ui_url(settings)} while `{settings.fly.proxy_command}` runs"
            if settings.fly and settings.fly.private
            else settings.server_url
        ),
        api_url=settings.api_url,
        orchestrator=settings.orchestrator.app,
        connected="connected" if settings.orchestrator.connected else "detached",
        # The whole list: `config set --path logins[1]` would leave a hole where the default stood.
        more_logins=f"[{', '.join([*(login.name for login in settings.logins), '<name>'])}]",
        cost=(
            f"not known: Fly's prices of {', '.join(unpriced(settings.machine_regions))} are not in costs.py"
            if cost is None
            else f"about {cost:.2f} USD per month on Fly"
        ),
    )
