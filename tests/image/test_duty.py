"""Two servers on one database, as they are while one machine takes the place of another."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from sandbox.postgres import PostgresServer
from tests.support.migration import name_of
from tests.support.prefect_server import Program, running
from tests.support.side_by_side import react_to, send, server
from tests.support.waiting import until

pytestmark = [pytest.mark.prefect, pytest.mark.long]

HERE, ELSEWHERE = "the periodic services run here", "the periodic services run at another server"


# Events stay in this server's memory until it ends.
STORES_LATE = {
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "100000",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "100000",
}


def test_the_periodic_services_run_at_one_server_and_move_when_it_ends(
    migrated_database: Callable[[], str], postgres: PostgresServer, tmp_path: Path
) -> None:
    """The second one leaves them alone, has them as soon as the first ends, and a crash only delays that."""
    url = migrated_database()
    who = "SELECT string_agg(holder, ' ') FROM prefect_fly.duty WHERE name = 'periodic services'"
    with running(server(tmp_path, url, "old")) as old, running(server(tmp_path, url, "new")) as new:
        assert HERE in old.log
        assert HERE not in new.log
        assert postgres.execute(who, name_of(url)) == "old"
        assert old.stop() == -signal.SIGTERM
        until(lambda: HERE in new.log)
        assert postgres.execute(who, name_of(url)) == "new"
        with running(server(tmp_path, url, "newest")) as newest:
            new.stop(signal.SIGKILL)
            until(lambda: HERE in newest.log)
            assert postgres.execute(who, name_of(url)) == "newest"
    assert postgres.execute(who, name_of(url)) == ""


def test_an_event_that_comes_again_is_acted_on_once_wherever_it_came_first(
    migrated_database: Callable[[], str], postgres: PostgresServer, tmp_path: Path
) -> None:
    """To the new server, to the old one after a failed update, to the same one after a restart: once is enough.

    It does not matter who has stored it, nor that the server that acted first was not on duty.
    """
    url = migrated_database()
    name = name_of(url)

    def reactions() -> int:
        return int(postgres.execute("SELECT count(*) FROM prefect.flow_run", name))

    def reacts(server: Program, before: int = 0) -> bool:
        send(server, str(uuid4()), "alarm")
        return reactions() > before

    def acts_on_one(server: Program) -> str:
        before, event = reactions(), str(uuid4())
        send(server, event, "alarm")
        until(lambda: reactions() > before)
        return event

    def leaves_alone(server: Program, event: str) -> None:
        before = reactions()
        send(server, event, "alarm")
        until(lambda: f"event {event} came again" in server.log, lambda: (before, reactions(), server.log[-3000:]))
        assert reactions() == before
        # It still acts on what is new.
        acts_on_one(server)

    with running(server(tmp_path, url, "old", **STORES_LATE)) as old:
        react_to(old, "alarm")
        # The services learn of a new automation within seconds; until then an event is not looked at.
        until(lambda: reacts(old), every=1.0)
        with running(server(tmp_path, url, "new")) as new:
            leaves_alone(new, acts_on_one(old))
            late = acts_on_one(new)
            assert HERE not in new.log
        leaves_alone(old, late)
        late = acts_on_one(old)
    with running(server(tmp_path, url, "old")) as again:
        leaves_alone(again, late)
