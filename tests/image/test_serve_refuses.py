"""`serve` and `services` do not start where they could not work, and say why in their last line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.core.ports import free_port
from sandbox.postgres import PostgresServer
from tests.image.conftest import KEYS
from tests.support.migration import name_of
from tests.support.prefect_server import Program, database_environment, hashed, run_verb

pytestmark = pytest.mark.prefect


def serve_refusal(tmp_path: Path, url: str, **environ: str) -> tuple[int, str]:
    """Run `serve` where it cannot start: its exit code and its last line."""
    given = {"PREFECT_SERVER_API_HOST": "127.0.0.1", "PREFECT_SERVER_API_PORT": str(free_port())}
    given |= {"PREFECT_FLY_METRICS_PORT": str(free_port()), "PREFECT_FLY_API_KEYS": hashed(KEYS)}
    done = run_verb("serve", tmp_path, database_environment(url) | given | environ)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr.strip().splitlines()[-1]


def test_serve_refuses_what_was_not_migrated(fresh_database: str, tmp_path: Path) -> None:
    """`serve` on an empty database says in one sentence that migrate was not run, and builds nothing."""
    code, said = serve_refusal(tmp_path, fresh_database)
    assert code == 20
    assert "migrate was not run on this database" in said


def test_serve_refuses_older_schema(
    postgres: PostgresServer, migrated_database: Callable[[], str], tmp_path: Path
) -> None:
    """`serve` on a schema older than the image says that migrate was not run with this image."""
    url = migrated_database()
    # Prefect's very first migration.
    postgres.execute("UPDATE prefect.alembic_version SET version_num = '25f4b90a7a42'", name_of(url))
    code, said = serve_refusal(tmp_path, url)
    assert code == 20
    assert "migrate was not run with this image" in said


def test_serve_refuses_unknown_prefect(migrated_database: Callable[[], str], tmp_path: Path) -> None:
    """With a Prefect that the gate was not proved with `serve` says what to run again."""
    newer = tmp_path / "newer" / "prefect-3.99.0.dist-info"
    newer.mkdir(parents=True)
    (newer / "METADATA").write_text("Metadata-Version: 2.1\nName: prefect\nVersion: 3.99.0\n")
    source = Path(__file__).resolve().parents[2] / "docker" / "prefect"
    code, said = serve_refusal(tmp_path, migrated_database(), PYTHONPATH=f"{newer.parent}:{source}")
    assert code == 1
    assert "3.99.0 is installed; run pytest tests/image" in said


def test_serve_refuses_a_taken_port(server: Program, migrated_database: Callable[[], str], tmp_path: Path) -> None:
    """A taken port is found before anything else is done."""
    code, said = serve_refusal(tmp_path, migrated_database(), PREFECT_SERVER_API_PORT=str(server.port))
    assert code == 19
    assert f"could not listen on 127.0.0.1:{server.port}" in said


def test_services_without_their_redis_say_so(migrated_database: Callable[[], str], tmp_path: Path) -> None:
    """They end at once, with a sentence and no traceback of it, and the machine's restart policy tries again."""
    environ = database_environment(migrated_database()) | {
        "PREFECT_FLY_REDIS_URL": f"redis://default:redis-password@127.0.0.1:{free_port()}/0",
        "PREFECT_FLY_METRICS_PORT": str(free_port()),
        "PREFECT_SERVER_API_HOST": "127.0.0.1",
    }
    done = run_verb("services", tmp_path, environ)
    assert done.returncode == 1
    assert (
        done.stderr.strip().splitlines()[-1].startswith("services: could not run the services: Redis does not answer (")
    )
    assert "redis-password" not in done.stdout + done.stderr
