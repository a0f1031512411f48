"""What no API of ours answers ends in one sentence of ours, is not taken for an answer, and nothing is done twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest
import requests

from clients.better_stack import BetterStackClient, BetterStackError
from clients.endpoints import World
from clients.errors import ApiError
from clients.fly import FlyClient, FlyError
from clients.fly.addresses import Kind
from clients.fly.model import Machine, MachineRequest
from clients.github import GitHubClient, GitHubError
from clients.prefect import Credential, PrefectClient, PrefectError
from clients.transport import Transport
from clients.wire import Access
from tests.support.bad_replies import HEAVY, NO_ERROR, NO_SUCCESS, TOKEN, of_json
from tests.support.scripted_http import FakeClock, ScriptedSession
from tests.support.sentences import require_sentence

MACHINE = Machine.from_wire({"id": "1857", "name": "web"})
REQUEST = MachineRequest(name="web", region="ewr", config={"image": "x"})
CREDENTIAL = Credential(name="verify", key="pf_a-key-of-the-tests")
REPO = "acme/acme"


class Case(NamedTuple):
    """A call, whether sending it twice could do something twice, and refusals that are documented to pass."""

    call: Callable[[Any], object]
    once: bool = False
    passing: tuple[int, ...] = ()


def fly(session: requests.Session) -> FlyClient:
    return FlyClient(
        "http://127.0.0.1:1", "http://127.0.0.1:2", TOKEN, session=session, progress=print, timing=FakeClock().timing()
    )


def github(session: requests.Session) -> GitHubClient:
    return GitHubClient(_transport(GitHubClient, session))


def better_stack(session: requests.Session) -> BetterStackClient:
    return BetterStackClient(_transport(BetterStackClient, session))


def _transport(client: type[GitHubClient | BetterStackClient], session: requests.Session) -> Transport:
    api = client.api(Access("http://127.0.0.1:1", TOKEN))
    return Transport(api, session=session, progress=print, timing=FakeClock().timing())


def prefect(session: requests.Session) -> PrefectClient:
    return PrefectClient.at("http://127.0.0.1:1", World.SANDBOX, session)


FLY: Mapping[str, Case] = {
    "read an app": Case(lambda c: c.apps.get("shop")),
    "list apps": Case(lambda c: c.apps.list("acme")),
    "list machines": Case(lambda c: c.machines.list("shop")),
    "read a machine": Case(lambda c: c.machines.get("shop", "1857")),
    "create a machine": Case(lambda c: c.machines.create("shop", REQUEST), once=True),
    "update a machine": Case(lambda c: c.machines.update("shop", MACHINE, REQUEST), once=True),
    "take a lease": Case(lambda c: c.machines.lease("shop", MACHINE, seconds=60), once=True),
    "list addresses": Case(lambda c: c.addresses.list("shop")),
    "allocate an address": Case(lambda c: c.addresses.allocate("shop", Kind.V6), once=True),
    "list secrets": Case(lambda c: c.secrets.list("shop")),
    "write secrets": Case(lambda c: c.secrets.write("shop", {"A": "b"}), passing=(409,)),
    "read a certificate": Case(lambda c: c.certificates.get("shop", "flows.example.com")),
    "request a certificate": Case(lambda c: c.certificates.request("shop", "flows.example.com"), once=True),
    "check a certificate": Case(lambda c: c.certificates.check("shop", "flows.example.com")),
    "read what the token covers": Case(lambda c: c.tokens.current()),
}
GITHUB: Mapping[str, Case] = {
    "read a repository": Case(lambda c: c.repository(REPO)),
    "read a workflow": Case(lambda c: c.workflow(REPO, "deploy.yml")),
    "list workflows": Case(lambda c: c.workflow_files(REPO)),
    "list secrets": Case(lambda c: c.secret_names(REPO)),
    "list runs": Case(lambda c: c.runs(REPO, "deploy.yml", branch="main", created_since=1.7e9)),
    "read a run": Case(lambda c: c.run(REPO, 7)),
}
BETTER_STACK: Mapping[str, Case] = {
    "find a monitor": Case(lambda c: c.find("https://shop.fly.dev/api/ready")),
    "read a monitor": Case(lambda c: c.get("7")),
    "create a monitor": Case(lambda c: c.create({"url": "https://shop.fly.dev/api/ready"}), once=True),
    "update a monitor": Case(lambda c: c.update("7", {"check_frequency": 180})),
}
PREFECT: Mapping[str, Case] = {
    "read the use of keys": Case(lambda c: c.key_use(CREDENTIAL), once=True),
    "read the status": Case(lambda c: c.status(CREDENTIAL), once=True),
}
APIS: Mapping[str, tuple[Callable[[requests.Session], Any], type[ApiError], Mapping[str, Case]]] = {
    "Fly": (fly, FlyError, FLY),
    "GitHub": (github, GitHubError, GITHUB),
    "Better Stack": (better_stack, BetterStackError, BETTER_STACK),
    "the server": (prefect, PrefectError, PREFECT),
}
CALLS = [(api, name) for api, (_, _, cases) in APIS.items() for name in cases]
FIRST = {api: next(iter(cases)) for api, (_, _, cases) in APIS.items()}


def check(api: str, name: str, reply: requests.Response) -> None:
    """Make one call that gets nothing but this reply."""
    make, kind, cases = APIS[api]
    session = ScriptedSession(forever=reply)
    with pytest.raises(ApiError) as caught:
        cases[name].call(make(session))
    assert isinstance(caught.value, kind)
    require_sentence(caught.value, [TOKEN, CREDENTIAL.key])
    assert len(session.sent) == 1 if cases[name].once else len(session.sent) <= 6
    if reply.status_code < 500 and not reply.ok and reply.status_code not in cases[name].passing:
        assert len(session.sent) == 1, f"HTTP {reply.status_code} was asked for again"


@pytest.mark.parametrize(("api", "name"), CALLS)
@pytest.mark.parametrize("reply", NO_SUCCESS)
def test_what_is_no_answer_is_not_taken_for_one(api: str, name: str, reply: str) -> None:
    """A success without what was asked for is an error with a sentence, and a call that creates is sent once."""
    check(api, name, NO_SUCCESS[reply])


@pytest.mark.parametrize(("api", "name"), CALLS)
def test_an_error_of_any_form_becomes_a_sentence(api: str, name: str) -> None:
    """The status alone decides the kind; whatever stands in the body, the text is one line without a secret."""
    for reply in NO_ERROR.values():
        check(api, name, reply)


@pytest.mark.parametrize(("api", "name"), [*FIRST.items(), ("Fly", "create a machine")])
@pytest.mark.parametrize("reply", HEAVY)
def test_replies_of_any_size_and_depth_become_a_sentence(api: str, name: str, reply: str) -> None:
    """Megabytes and deep nesting end neither in a traceback nor in a text of that size."""
    check(api, name, HEAVY[reply])


RUN = {"id": 7, "status": "queued"}
MONITOR = {"id": "7", "attributes": {"url": "https://x"}}
WRONG_PARTS: list[tuple[str, str, object]] = [
    ("Fly", "read an app", {"id": "1", "organization": {"slug": "acme"}}),
    ("Fly", "read an app", {"name": None}),
    ("Fly", "read an app", {"name": ["shop"]}),
    ("Fly", "list apps", {"apps": {"name": "shop"}}),
    ("Fly", "list apps", {"apps": ["shop"]}),
    ("Fly", "list apps", {"apps": [{"id": "1"}]}),
    ("Fly", "list machines", {"machines": []}),
    ("Fly", "list machines", [{"id": "1"}, None]),
    ("Fly", "list machines", [{"id": 7}]),
    ("Fly", "read a machine", {"id": ""}),
    ("Fly", "read a machine", None),
    ("Fly", "read a machine", []),
    ("Fly", "create a machine", {"name": "web"}),
    ("Fly", "create a machine", None),
    ("Fly", "take a lease", {"data": {"nonce": None}}),
    ("Fly", "take a lease", {"data": {"nonce": 7}}),
    ("Fly", "take a lease", {"status": "success"}),
    ("Fly", "list addresses", {"ips": "66.1.2.3"}),
    ("Fly", "list addresses", {"ips": [{"address": "66.1.2.3"}]}),
    ("Fly", "allocate an address", {"ip": ""}),
    ("Fly", "list secrets", {"secrets": {"A": "digest"}}),
    ("Fly", "list secrets", {"secrets": [{"digest": "x"}]}),
    ("Fly", "write secrets", {"secrets": []}),
    ("Fly", "write secrets", {"secrets": [], "version": None}),
    ("Fly", "write secrets", {"secrets": [], "version": "new"}),
    ("Fly", "write secrets", {"secrets": [], "version": 1.5}),
    ("Fly", "write secrets", {"version": 8}),
    ("Fly", "read a certificate", {"status": "active"}),
    ("Fly", "request a certificate", {"hostname": 7}),
    ("Fly", "read what the token covers", {"tokens": "acme"}),
    ("GitHub", "read a repository", {"full_name": REPO}),
    ("GitHub", "read a repository", {"id": "x"}),
    ("GitHub", "read a workflow", {"id": None}),
    ("GitHub", "list workflows", {"workflows": {"id": 1}}),
    ("GitHub", "list workflows", {"workflows": [None]}),
    ("GitHub", "list secrets", {"secrets": ["A"]}),
    ("GitHub", "list secrets", {"secrets": [{}]}),
    ("GitHub", "list runs", {"workflow_runs": "none"}),
    ("GitHub", "list runs", {"workflow_runs": [{"status": "queued"}]}),
    ("GitHub", "list runs", [RUN]),
    ("GitHub", "read a run", {**RUN, "id": {"a": 1}}),
    ("GitHub", "read a run", {**RUN, "id": 1.5}),
    ("Better Stack", "find a monitor", {"data": MONITOR}),
    ("Better Stack", "find a monitor", {"data": [{"id": "7"}]}),
    ("Better Stack", "find a monitor", {"data": [{"id": None, "attributes": {}}]}),
    ("Better Stack", "find a monitor", {"data": [], "pagination": {"next": ["page"]}}),
    ("Better Stack", "find a monitor", {"data": [], "pagination": {"next": "https://x/?page=2"}}),
    ("Better Stack", "read a monitor", {"data": [MONITOR]}),
    ("Better Stack", "read a monitor", {"data": {"id": "7", "attributes": []}}),
    ("Better Stack", "create a monitor", {"data": None}),
    ("the server", "read the status", {"keys": {}}),
    ("the server", "read the use of keys", {"prefect": "3.8.8"}),
]


@pytest.mark.parametrize(("api", "name", "body"), WRONG_PARTS)
def test_a_missing_or_wrong_part_that_counts_is_an_error(api: str, name: str, body: object) -> None:
    """An object without its id, a list that is none: nothing goes on from there, and nothing counts as gone."""
    check(api, name, of_json(200, body))


LENIENT: list[tuple[str, str, object]] = [
    ("Fly", "read an app", {"name": "shop", "organization": None, "machine_count": "many", "status": 7}),
    ("Fly", "list machines", None),
    ("Fly", "list machines", [{"id": "1", "state": None, "checks": {}, "events": [7], "config": [], "image_ref": 1}]),
    (
        "Fly",
        "read a machine",
        {"id": "1", "config": {"metadata": {"prefect_fly_owner": 7}}, "events": [{"timestamp": "soon"}]},
    ),
    ("Fly", "read a machine", {"id": "1", "events": [{"type": "exit", "request": {"exit_event": {"exit_code": "x"}}}]}),
    (
        "Fly",
        "read a certificate",
        {
            "hostname": "x",
            "certificates": "none",
            "dns_requirements": {"a": 7, "aaaa": [None]},
            "dns_records": {"a": 1},
        },
    ),
    ("Fly", "list secrets", {"secrets": None}),
    ("Fly", "write secrets", {"secrets": None, "Version": "8"}),
    ("Fly", "read what the token covers", {"tokens": [{"org_slug": 7, "apps": 5}, {"apps": [None]}, {}]}),
    ("GitHub", "read a repository", {"id": 1, "permissions": [], "default_branch": None}),
    ("GitHub", "read a run", {**RUN, "created_at": "yesterday", "actor": [], "run_started_at": 7}),
    ("GitHub", "read a run", {**RUN, "created_at": "0001-01-01T00:00:00Z", "triggering_actor": "x"}),
    ("Better Stack", "find a monitor", {"data": None, "pagination": []}),
    ("Better Stack", "read a monitor", {"data": {"id": 7, "attributes": {"url": None}}}),
    ("the server", "read the use of keys", {"keys": [1, 2]}),
    ("the server", "read the use of keys", {"keys": {"a": {"accepted": "x", "last_accepted": True}, "b": 7}}),
    ("the server", "read the status", {"prefect": 3, "database": [1], "pool": "x"}),
]


@pytest.mark.parametrize(("api", "name", "body"), LENIENT)
def test_a_wrong_part_that_does_not_count_is_left_out(api: str, name: str, body: object) -> None:
    """Fields that we only show or compare may be missing or of another kind."""
    make, _, cases = APIS[api]
    result = cases[name].call(make(ScriptedSession(of_json(200, body))))
    for machine in result if isinstance(result, tuple) else [result]:
        if isinstance(machine, Machine):
            assert (machine.owner, machine.healthy, machine.label) == ("", False, "")
            machine.last_exit()


def test_a_dispatch_whose_answer_makes_no_sense_is_looked_for_and_not_sent_again() -> None:
    """GitHub took it: a run without a usable id is found by looking, never dispatched twice."""
    bodies: list[object] = [{"workflow_run_id": "soon"}, {"workflow_run_id": None}, [], "x", None]
    for body in bodies:
        session = ScriptedSession(of_json(200, body))
        assert github(session).dispatch(REPO, "deploy.yml", "main") is None
        assert len(session.sent) == 1
