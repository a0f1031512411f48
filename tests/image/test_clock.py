"""A server whose clock is wrong by weeks: nothing goes too early, and what is periodic goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.core.ports import free_port
from sandbox.postgres import PostgresServer
from tests.support.migration import name_of
from tests.support.prefect_server import database_environment, plain_environment, result_of, run_client
from tests.support.redis import running_redis

pytestmark = pytest.mark.prefect

SCRIPT = Path(__file__).parent / "clients" / "wrong_clock.py"
DAYS_KEPT = 30
PLANT = """
INSERT INTO prefect.flow (name) VALUES ('f');
INSERT INTO prefect.flow_run (flow_id, name, state_type, start_time, end_time)
SELECT id, days || ' days', 'COMPLETED', now() - days * interval '1 day', now() - days * interval '1 day'
FROM prefect.flow, (VALUES (10), (35)) AS old (days);
INSERT INTO prefect.events (occurred, event, resource_id, resource, related, payload, received, recorded)
SELECT now() - days * interval '1 day', days || ' days', 'r', '{}', '[]', '{}', now(), now()
FROM (VALUES (10), (35)) AS old (days);
INSERT INTO prefect_fly.lease (id, resources, created_at, expires_at, slots)
SELECT ('00000000-0000-0000-0000-00000000000' || number)::uuid, '{}', now(), now() + hours * interval '1 hour', 1
FROM (VALUES (1, 1), (2, -1)) AS lease (number, hours);
"""
RUNS = "SELECT string_agg(name, ', ' ORDER BY name) FROM prefect.flow_run"
EVENTS = "SELECT string_agg(event, ', ' ORDER BY event) FROM prefect.events"


@pytest.fixture(params=["memory", "redis"])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The queue of one server, and that of several."""
    if request.param == "memory":
        yield {}
        return
    with running_redis(tmp_path) as url:
        yield {"QUEUE_URL": url}


@pytest.mark.parametrize(("off", "kept"), [(40, "10 days, 35 days"), (-40, "10 days, 35 days"), (0, "10 days")])
def test_what_is_kept_for_days_is_kept(
    off: int,
    kept: str,
    queue: dict[str, str],
    migrated_database: Callable[[], str],
    postgres: PostgresServer,
    tmp_path: Path,
) -> None:
    """Ahead and behind, no run and no event is removed, and a lease lasts as long as it should; right, all is as ever.

    What was put off by 40 days is done now where it is done twice a minute, and stays where that is its time.
    """
    url = migrated_database()
    postgres.execute(PLANT, name_of(url))
    environ = plain_environment(tmp_path) | database_environment(url)
    listening = {"PREFECT_SERVER_API_PORT": str(free_port()), "PREFECT_FLY_METRICS_PORT": str(free_port())}
    retention = {
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(DAYS_KEPT * 86400),
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": f"P{DAYS_KEPT}D",
    }
    found = result_of(run_client(SCRIPT, environ | listening | retention | queue, str(off)))
    assert found == {"due": {"often": 0, "seldom": 40}, "expired": [2], "active": [1], "held": [1], "new": True}
    assert postgres.execute(RUNS, name_of(url)) == kept
    assert postgres.execute(EVENTS, name_of(url)) == kept
    assert postgres.execute("SELECT count(*) FROM prefect_fly.lease", name_of(url)) == "2"
