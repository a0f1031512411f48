"""init: for people, once for each environment: ask what a stack needs, write Pulumi.NAME.yaml, and look with doctor.

It lists the person's Fly apps and workflows to choose from, asks for the database's address without showing it, and
writes nothing before the program's own rules take all of it. Nothing is deployed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from clients.endpoints import World
from clients.fly import FlyClient
from clients.github import GitHubClient
from clients.names import BETTER_STACK_TOKEN, NONCE
from ops import arguments, doctor
from ops.errors import OpsError
from ops.init_questions import Check, Questions, StandardTerminal, matching
from ops.init_stack import NewStack, exists
from ops.runtime import Runtime

DATABASE_VARIABLE = "DATABASE_URL"
_NAMESPACE = "prefect-fly"
_NAME = matching(r"[a-z0-9][a-z0-9-]{0,61}[a-z0-9]", "give a name of small letters, digits and hyphens")
_STACK = matching(r"[A-Za-z0-9_.-]{1,100}", "give letters, digits, hyphens, underscores and periods")
_REPOSITORY = matching(r"[^/\s]+/[^/\s]+", "give owner/name")
_NONE = "none"
_YES_OR_NO = matching("yes|no", "answer yes or no")
# The rule itself is the program's, which looks at all answers in the end.
_DOMAIN = matching(r"none|[a-z0-9.-]+\.[a-z0-9.-]+", "give a name as prefect.example.com, or none")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags; what none of them gives is asked."""
    arguments.endpoints(parser)
    parser.add_argument("name", metavar="NAME", help="the new stack's name, for example prod")
    parser.add_argument("--org", help="Fly organization")
    parser.add_argument("--orchestrator-app", help="the orchestrator's Fly app")
    parser.add_argument("--health-url", help="the orchestrator's health endpoint")
    arguments.server_app(parser, required=False)
    parser.add_argument(
        "--url-template", default="", help="public address of the server, {app} in it; Fly's own without"
    )
    parser.add_argument("--region", help="Fly region of the server")
    parser.add_argument("--domain", help="a name of one's own for the server; none: Fly's own")
    parser.add_argument("--private", choices=("yes", "no"), help="no public address, inside the organization only")
    parser.add_argument("--image", default="", help="an image built elsewhere, by digest, instead of building one")
    parser.add_argument("--repository", help="owner/name")
    parser.add_argument("--workflow", help="the workflow's file name")
    parser.add_argument(
        "--nonce-input", help="the workflow's input that its run-name shows; none: it has no such input"
    )
    parser.add_argument("--uptime", choices=("yes", "no"), help="a Better Stack monitor; yes where the token is set")
    parser.add_argument("--secrets-provider", default="passphrase", help="what encrypts the stack's secrets")


def run(args: argparse.Namespace, rt: Runtime) -> dict[str, object]:
    """Ask, check, write, and end with what doctor says.

    Raises:
        OpsError: an answer is missing or wrong, the stack exists, pulumi failed, or doctor found a problem.
        ApiError: Fly or GitHub cannot be asked.
    """
    root = Path.cwd()
    try:
        name = _STACK(args.name)
    except ValueError as wrong:
        raise OpsError(f'could not use stack name "{args.name}": {wrong}.') from None
    if (file := root / f"Pulumi.{name}.yaml").exists():
        raise OpsError(exists(file))
    questions = Questions(vars(args), StandardTerminal() if sys.stdin.isatty() else None)
    stack = NewStack(
        name=name,
        root=root,
        plain=_settings(questions, args, rt),
        secrets={f"{_NAMESPACE}:databaseUrl": _database(questions, rt)},
    )
    stack.check()
    stack.make(args.secrets_provider)
    rt.progress.say(f"wrote {stack.file.name} and made stack {name}; now doctor looks at everything")
    looked = doctor.run(argparse.Namespace(stack=name, endpoints=None), rt)
    rt.progress.say(f'next: "pulumi preview --stack {name}", then "pulumi up --stack {name}"')
    return {"stack": name, "file": stack.file.name, **looked}


def _settings(questions: Questions, args: argparse.Namespace, rt: Runtime) -> dict[str, object]:
    fly = FlyClient.from_environment(rt.world, rt.environ, progress=rt.progress.say)
    orgs = sorted({part.org for part in fly.tokens.current()})
    org = orgs[0] if len(orgs) == 1 else ""
    if args.org or not org:
        org = questions.answer("org", "Fly organization", choices=orgs, check=_among(orgs))
    apps = [app.name for app in fly.apps.list(org)]
    orchestrator = questions.answer(
        "orchestrator_app", "Fly app that runs the flows (the orchestrator)", choices=apps, check=_among(apps)
    )
    regions = sorted({machine.region for machine in fly.machines.list(orchestrator) if machine.region})
    health = questions.answer(
        "health_url",
        "its health endpoint, a URL",
        default="" if rt.world is World.SANDBOX else f"https://{orchestrator}.fly.dev/health",
    )
    server = questions.answer(
        "server_app",
        "name of the new Fly app for the Prefect server, unique in all of Fly",
        default=_server_name(orchestrator, args.name),
        check=_NAME,
    )
    region = questions.answer("region", "its region", default=regions[0] if regions else "ewr")
    owner, github = _github(questions, rt)
    address = _address(questions, args)
    reachable = "private" not in address
    watched = args.uptime == "yes" or (args.uptime is None and reachable and bool(rt.environ.get(BETTER_STACK_TOKEN)))
    if not watched:
        why = f"the server is private, {BETTER_STACK_TOKEN} is not set, or --uptime no was given"
        rt.progress.say(f"no monitor: {why}")
    return {
        "github:owner": owner,
        f"{_NAMESPACE}:endpoints": rt.world.value,
        f"{_NAMESPACE}:fly": {"org": org, "region": region, "app": server, **address},
        f"{_NAMESPACE}:orchestrator": {"app": orchestrator, "healthUrl": health},
        f"{_NAMESPACE}:github": github,
        **({f"{_NAMESPACE}:image": {"reference": args.image}} if args.image else {}),
        **({} if watched else {f"{_NAMESPACE}:uptime": {"enabled": False}}),
        **({"github:baseUrl": rt.environ["GITHUB_BASE_URL"]} if rt.environ.get("GITHUB_BASE_URL") else {}),
    }


def _address(questions: Questions, args: argparse.Namespace) -> dict[str, object]:
    """Ask how people reach the server; a name needs a public address (docs/domain.md, docs/private.md)."""
    template: dict[str, object] = {"urlTemplate": args.url_template} if args.url_template else {}
    private = questions.answer(
        "private", "reached inside the organization's network alone (yes or no)", default="no", check=_YES_OR_NO
    )
    if private == "yes" and not args.domain:
        return template | {"private": True}
    domain = questions.answer("domain", "a name of your own for it; none for Fly's", default=_NONE, check=_DOMAIN)
    stated = {} if domain == _NONE else {"domain": domain}
    return template | stated | ({"private": True} if private == "yes" else {})


def _github(questions: Questions, rt: Runtime) -> tuple[str, dict[str, object]]:
    github = GitHubClient.from_environment(rt.world, rt.environ, progress=rt.progress.say)
    full = questions.answer("repository", "GitHub repository that deploys it, as owner/name", check=_REPOSITORY)
    files = github.workflow_files(full)
    usual = "deploy-orchestrator.yml"
    workflow = questions.answer(
        "workflow",
        "its workflow that deploys the orchestrator",
        default=usual if usual in files else files[0] if len(files) == 1 else "",
        choices=files,
        check=_among(files),
    )
    nonce = questions.answer(
        "nonce_input",
        "the workflow's input that its run-name shows, by which our run is found (docs/ops.md); none if it has none",
        default="nonce",
    )
    owner, _, name = full.partition("/")
    settings: dict[str, object] = {"repository": name, "workflow": workflow}
    return owner, settings if nonce == _NONE else settings | {"workflowInputs": {nonce: NONCE}}


def _database(questions: Questions, rt: Runtime) -> str:
    from settings.database import DatabaseUrlError, normalise  # noqa: PLC0415 - only here

    def check(text: str) -> str:
        try:
            normalise(text, require_tls=True, has_ca=False)
        except DatabaseUrlError as wrong:
            raise ValueError(str(wrong)) from None
        return text

    return questions.secret(
        rt.environ.get(DATABASE_VARIABLE, ""),
        "Postgres connection string (not shown; Supabase: direct or session pooler, port 5432)",
        DATABASE_VARIABLE,
        check,
    )


def _among(known: Sequence[str]) -> Check:
    def check(text: str) -> str:
        if text not in known:
            raise ValueError(f'there is no "{text}" that the token sees: {", ".join(known) or "nothing"}')
        return text

    return check


def _server_name(orchestrator: str, stack: str) -> str:
    base = f"{orchestrator.removesuffix('-orchestrator')}-prefect"
    return base if stack in {"prod", "production"} else f"{base}-{stack.lower()}"
