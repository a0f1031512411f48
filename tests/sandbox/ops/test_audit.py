"""`audit` against a small server that keeps lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from ops import __main__ as program
from ops.runtime import Progress, Runtime
from tests.support.fake_server import CREDENTIAL
from tests.support.health_server import json_server
from tests.support.leaks import leaks

NOW = 1_800_000_000.0


def line(number: int) -> dict[str, Any]:
    """A line as the server gives it."""
    return {
        "id": number,
        "at": "2027-01-15T07:59:00.000Z",
        "login": "anna.2",
        "rights": "viewer",
        "method": "DELETE",
        "route": "/api/flows/{id}",
        "object": f"flow-{number}",
        "status": 403 if number % 2 else 204,
        "client": "192.0.2.7",
    }


class Kept:
    """A server with 1,200 lines, of which it gives 500 at most."""

    def __init__(self) -> None:
        self.asked: list[dict[str, list[str]]] = []
        self.refuses: tuple[int, Any] | None = None

    def answer(self, path: str, authorization: str) -> tuple[int, Any]:
        """What it answers."""
        if authorization != CREDENTIAL.basic():
            return 401, {}
        if self.refuses:
            return self.refuses
        query = parse_qs(urlsplit(path).query)
        self.asked.append(query)
        newest = int(query.get("before", ["1201"])[0]) - 1
        limit = int(query["limit"][0])
        numbers = range(newest, max(newest - limit, 0), -1)
        return 200, {"lines": [line(number) for number in numbers], "next": numbers[-1] if numbers[-1] > 1 else None}


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    """A stack with that server."""
    made = Kept()
    environ = {"PREFECT_FLY_VERIFY_KEY": f"{CREDENTIAL.name}:{CREDENTIAL.key}"}
    with json_server(made.answer) as url:

        def config(_stack: str, _advice: str) -> dict[str, dict[str, Any]]:
            groups = {
                "fly": {"org": "acme", "app": "acme-prefect", "urlTemplate": url},
                "orchestrator": {"app": "acme-orchestrator", "healthUrl": f"{url}/health"},
                "github": {"repository": "acme"},
            }
            stated = {f"prefect-fly:{name}": {"objectValue": each, "value": ""} for name, each in groups.items()}
            return stated | {"prefect-fly:endpoints": {"value": "sandbox"}}

        monkeypatch.setattr("ops.status_stack.config_of", config)
        monkeypatch.setattr(
            program,
            "runtime",
            lambda world: Runtime(world=world, progress=Progress(), environ=environ, clock=lambda: NOW),
        )
        yield made


def test_the_last_day_without_the_orchestrator(kept: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    """One line each, refused ones named, and at the end what was left out."""
    assert program.main(["audit", "dev", "--limit", "2"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "2027-01-15 07:59:00  anna.2            done          DELETE /api/flows/{id}  flow-1200  from 192.0.2.7",
        "2027-01-15 07:59:00  anna.2            refused       DELETE /api/flows/{id}  flow-1199  from 192.0.2.7",
    ]
    assert err == "2 changes since 2027-01-14 08:00 UTC; what orchestrator did is left out, --all shows it\n"
    assert kept.asked == [{"without": ["orchestrator"], "since": ["2027-01-14T08:00:00Z"], "limit": ["2"]}]


def test_page_after_page_as_json(kept: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    """All lines of the named logins, each an object, however many pages they are."""
    flags = ["--login", "anna", "--login", "otto", "--since", "2027-01-01", "--limit", "5000", "--json"]
    assert program.main(["audit", "dev", *flags]) == 0
    lines = [json.loads(each) for each in capsys.readouterr().out.splitlines()]
    assert [each["id"] for each in lines] == list(range(1200, 0, -1))
    assert [query.get("before") for query in kept.asked] == [None, ["701"], ["201"]]
    assert all(query["login"] == ["anna", "otto"] and "without" not in query for query in kept.asked)


@pytest.mark.parametrize(
    ("refuses", "flags", "says"),
    [
        (
            (404, {"detail": "This server keeps no audit lines but in its log."}),
            [],
            "keeps no audit lines but in its log",
        ),
        ((403, {"detail": '"anna" is a viewer and may look.'}), [], '"anna" is a viewer'),
        ((200, {"x": 1}), [], "its image may be older"),
        ((401, {}), [], "the server refuses the key"),
        (None, ["--since", "yesterday"], 'could not read --since "yesterday"'),
    ],
)
def test_what_cannot_be_read_has_its_sentence(
    kept: Kept, capsys: pytest.CaptureFixture[str], refuses: tuple[int, Any] | None, flags: list[str], says: str
) -> None:
    """No audit, too few rights, an older image, a wrong key, a time that is none."""
    kept.refuses = refuses
    assert program.main(["audit", "dev", *flags]) == 1
    assert says in capsys.readouterr().err


def test_a_key_that_the_server_says_back_is_not_shown(
    kept: Kept, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a proxy or a broken server puts into its refusal stays out of the terminal and of a CI log."""
    monkeypatch.setenv("PREFECT_FLY_VERIFY_KEY", f"{CREDENTIAL.name}:{CREDENTIAL.key}")
    for spoken in (CREDENTIAL.key, CREDENTIAL.basic()):
        kept.refuses = 403, {"detail": f"I was sent {spoken} and refuse"}
        assert program.main(["audit", "dev"]) == 1
        told = "".join(capsys.readouterr())
        assert "I was sent" in told
        assert leaks(told, {"the key": CREDENTIAL.key}) == set()
