"""doctor: for people, before the first `up` or when something is odd: check tokens, apps, workflow and health.

It changes nothing and prints no secret.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

from clients.better_stack import BetterStackClient
from clients.client_versions import Fit, fit_of, verdict
from clients.endpoints import WrongWorldError
from clients.errors import ApiError
from clients.fly import FlyClient
from clients.fly.addresses import Kind
from clients.fly.errors import FlyNotFoundError
from clients.github import GitHubClient
from clients.names import BETTER_STACK_TOKEN, FLY_TOKEN, GITHUB_TOKEN, OWNER_PREFIX, VERIFY_KEY, WIRED
from clients.prefect import Credential, PrefectAnswerError, PrefectUnreachableError
from ops import arguments
from ops.errors import OpsError
from ops.orchestrator_health import HEALTHY, NOT_CONFIGURED, HealthEndpoint
from ops.own_key import OwnKey
from ops.reaching import MACHINE, add_reach, prefect_client
from ops.runtime import Runtime
from ops.stack_settings import Options, add_stack, from_stack
from ops.verify_domain import what_lacks


@dataclass(frozen=True)
class Finding:
    """One line of the table."""

    subject: str
    state: Literal["ok", "note", "problem"]
    text: str


Findings = Iterable[Finding]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    arguments.endpoints(parser, of_stack=True)
    add_stack(parser)
    parser.add_argument("--org", help="Fly organization")
    parser.add_argument("--orchestrator-app", help="the orchestrator's Fly app")
    parser.add_argument("--health-url", help="the orchestrator's health endpoint")
    arguments.server_app(parser, required=False)
    arguments.server_url(parser, required=False)
    add_reach(parser, of_stack=True)
    parser.add_argument("--domain", help="the server's name of one's own")
    parser.add_argument("--repository", help="owner/name")
    parser.add_argument("--workflow", help="the workflow's file name")


def run(args: argparse.Namespace, rt: Runtime) -> dict[str, object]:
    """Check everything, print the table, and fail when something is a problem.

    Raises:
        OpsError: at least one problem was found.
    """
    found = from_stack(args, rt)
    looks = (_fly, _domain, _github, _better_stack, _health, _client, _server)
    findings = [finding for look in looks for finding in _guarded(look, found, found.rt)]
    sys.stdout.write(table(findings))
    sys.stdout.flush()  # a failure is told on standard error, and its sentence points to "above"
    problems = [finding for finding in findings if finding.state == "problem"]
    if problems:
        count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise OpsError(f"doctor found {count}; what to do stands in the table above.")
    return {"problems": 0, "notes": sum(finding.state == "note" for finding in findings)}


def table(findings: Iterable[Finding]) -> str:
    """Return the findings as aligned lines."""
    rows = list(findings)
    width = max((len(row.subject) for row in rows), default=0)
    return "".join(f"{row.state:<8} {row.subject:<{width}}  {row.text}\n" for row in rows)


def _guarded(look: Callable[[Options, Runtime], Findings], found: Options, rt: Runtime) -> list[Finding]:
    """Return what `look` found; what it could not even ask is a problem of its own."""
    findings: list[Finding] = []
    try:
        findings.extend(look(found, rt))
    except (ApiError, WrongWorldError, OpsError) as error:
        findings.append(Finding(_TITLES[look.__name__], "problem", str(error)))
    return findings


_TITLES = {
    "_fly": "Fly",
    "_domain": "domain",
    "_github": "GitHub",
    "_better_stack": "Better Stack",
    "_health": "orchestrator health",
    "_client": "orchestrator client",
    "_server": "server",
}


def _fly(found: Options, rt: Runtime) -> list[Finding]:
    fly = FlyClient.from_environment(rt.world, rt.environ, progress=rt.progress.say)
    coverage = fly.tokens.current()
    orgs = ", ".join(sorted({part.org for part in coverage})) or "nothing"
    org = found.get("org")
    covered = not org or any(part.org == org for part in coverage)
    advice = "" if covered else f'; "{org}" is not among them: set FLY_API_TOKEN to a token of it'
    findings = [Finding(FLY_TOKEN, "ok" if covered else "problem", f"covers {orgs}{advice}")]
    if found.get("orchestrator_app"):
        findings += _orchestrator_app(fly, found.get("orchestrator_app"))
    if found.get("server_app"):
        findings += _server_app(fly, found.get("server_app"), private=found.get("reach") == MACHINE)
    return findings


def _orchestrator_app(fly: FlyClient, name: str) -> list[Finding]:
    subject = f"app {name}"
    try:
        app = fly.apps.get(name)
    except FlyNotFoundError:
        return [Finding(subject, "problem", "there is no such app; set orchestrator.app to the one to wire")]
    machines = [machine for machine in fly.machines.list(name) if not machine.destroyed]
    running = sum(machine.state == "started" for machine in machines)
    findings = [
        Finding(subject, "ok" if running else "problem", f"{app.status}, {running} of {len(machines)} machines started")
    ]
    names = {secret.name for secret in fly.secrets.list(name)}
    wired, marker = sorted(names & set(WIRED)), [entry for entry in names if entry.startswith(OWNER_PREFIX)]
    if wired and not marker:
        text = f"{', '.join(wired)} set by somebody else: up needs orchestrator.takeOver: true, their values are lost"
        findings.append(Finding(f"secrets of {name}", "note", text))
    else:
        text = f"wired by a stack ({', '.join(wired)})" if wired else "not wired"
        findings.append(Finding(f"secrets of {name}", "ok", text))
    return findings


def _server_app(fly: FlyClient, name: str, *, private: bool) -> list[Finding]:
    try:
        app = fly.apps.get(name)
    except FlyNotFoundError:
        return [Finding(f"app {name}", "ok", "does not exist yet; up creates it")]
    findings = [Finding(f"app {name}", "ok", f"{app.status} in organization {app.org}")]
    public = [each.ip for each in fly.addresses.list(name) if not each.is_of(Kind.PRIVATE_V6)] if private else []
    if public:
        commands = " and ".join(f'"fly ips release {ip} -a {name}"' for ip in public)
        text = f"the stack states fly.private: true, and the app has a public address: remove it with {commands}"
        findings.append(Finding(f"addresses of {name}", "problem", text))
    return findings


def _domain(found: Options, rt: Runtime) -> list[Finding]:
    """Tell how far the name is, without letting Fly look at its DNS again."""
    name, app = found.get("domain"), found.get("server_app")
    if not name or not app:
        return []
    fly = FlyClient.from_environment(rt.world, rt.environ, progress=rt.progress.say)
    certificate, subject = fly.certificates.find(app, name), f"domain {name}"
    if certificate is None:
        return [Finding(subject, "note", f'app "{app}" does not have it yet; "pulumi up" asks for its certificate')]
    lacking = what_lacks(certificate)
    if lacking:
        return [Finding(subject, "note", lacking)]
    if not certificate.configured:
        return [
            Finding(subject, "problem", "the certificate is valid, but Fly does not find the app at the name's DNS")
        ]
    return [Finding(subject, "ok", "its DNS leads to the app and its certificate is valid")]


def _github(found: Options, rt: Runtime) -> list[Finding]:
    github = GitHubClient.from_environment(rt.world, rt.environ, progress=rt.progress.say)
    name = found.get("repository")
    if not name:
        return [Finding(GITHUB_TOKEN, "ok", f"acts as {github.login() or 'an app'}")]
    repository = github.repository(name)
    findings = [Finding(GITHUB_TOKEN, "ok", f"sees {name}")]
    if repository.archived:
        findings.append(Finding(f"repository {name}", "problem", "is archived; its workflows cannot run"))
    if repository.can_write is False:
        findings.append(Finding(f"repository {name}", "problem", "the token may only read; it needs write access"))
    names = set(github.secret_names(name))
    text = f"Actions secrets can be read; of ours set: {', '.join(sorted(names & set(WIRED))) or 'none'}"
    findings.append(Finding(f"repository {name}", "ok", text))
    if found.get("workflow"):
        workflow = github.workflow(name, found.get("workflow"))
        active = workflow.state == "active"
        text = workflow.state if active else f"{workflow.state}: enable it on the repository's Actions page"
        findings.append(Finding(f"workflow {found.get('workflow')}", "ok" if active else "problem", text))
    return findings


def _better_stack(_found: Options, rt: Runtime) -> list[Finding]:
    if not rt.environ.get(BETTER_STACK_TOKEN):
        text = "not set; up needs it unless uptime.enabled is false"
        return [Finding(BETTER_STACK_TOKEN, "note", text)]
    BetterStackClient.from_environment(rt.world, rt.environ, progress=rt.progress.say).check_token()
    return [Finding(BETTER_STACK_TOKEN, "ok", "accepted")]


def _health(found: Options, rt: Runtime) -> list[Finding]:
    if not found.get("health_url"):
        return []
    reading = HealthEndpoint(found.get("health_url"), rt.world).read()
    good = reading.prefect in {HEALTHY, NOT_CONFIGURED}
    advice = "" if good else "; set orchestrator.healthUrl right, or fix the orchestrator"
    return [Finding("orchestrator health", "ok" if good else "problem", f"{reading.said}{advice}")]


def _client(found: Options, _rt: Runtime) -> list[Finding]:
    version = found.get("client_version")
    return [_client_finding("orchestrator client", version, f"Prefect {version}")] if version else []


def _client_finding(subject: str, version: str, text: str) -> Finding:
    fit = fit_of(version)
    state: Literal["ok", "problem"] = "ok" if fit in {Fit.WHOLE, Fit.WITH_HEADER} else "problem"
    return Finding(subject, state, f"{text}: {verdict(version)}" if version else text)


def _server(found: Options, rt: Runtime) -> list[Finding]:
    key = rt.environ.get(VERIFY_KEY, "")
    url = found.get("server_url")
    if not url:
        return [Finding("server", "note", "not asked; give --server-url, or --stack with the stack's name")]
    server = prefect_client(url, found.get("reach"), found.get("server_app"), rt)
    try:
        server.ready()
    except PrefectUnreachableError as silence:
        return [Finding("server", "note", f'{url} does not answer yet ({silence.said}); "pulumi up" deploys it')]
    if not key:
        text = f"ready; set {VERIFY_KEY} to a login (pulumi stack output --show-secrets uiLogin) to see who uses it"
        return [Finding("server", "ok", text)]
    try:
        credential = Credential.parse(key)
    except ValueError as reason:
        return [Finding("server", "problem", f"{VERIFY_KEY} cannot be used: {reason}")]
    own = OwnKey.of(server.whoami(credential))
    findings = [Finding("server", "ok", "ready"), Finding(VERIFY_KEY, *own.judged(rt.clock()))]
    try:
        uses = server.key_use(credential)
    except PrefectAnswerError as error:
        if error.status == HTTPStatus.FORBIDDEN:  # the line of the key says that it has no such rights
            return findings
        raise
    for name, use in sorted(uses.items()):
        text = f"accepted {use.accepted}, refused {use.refused}, last client {use.client_version or 'unknown'}"
        findings.append(_client_finding(f"key {name}", use.client_version or "", text))
    return findings
