"""The image's probe: one request, made inside the app's network."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from prefect_server.probe import ask

from tests.support.health_server import json_server

SOURCE = Path(__file__).resolve().parents[3] / "docker" / "prefect"


def request(url: str, **changes: Any) -> dict[str, Any]:
    return {"method": "GET", "url": url, "headers": {}, "body": None, "timeout": 30, **changes}


def test_it_makes_the_request_that_it_reads_and_writes_the_answer() -> None:
    """As a program of its own, without any package: JSON in, JSON out, headers passed on."""
    with json_server(lambda path, authorization: (403, [path, authorization])) as address:
        asked = request(f"{address}/a?b=c", headers={"Authorization": "Bearer pf_x"})
        done = subprocess.run(
            # -S: no package of this environment can be imported, as the server's must not be for one request.
            [sys.executable, "-S", "-m", "prefect_server.probe"],
            cwd=SOURCE,
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            check=True,
            timeout=600,
        )
    answer = json.loads(done.stdout)
    assert (answer["status"], answer["headers"]["Content-Type"]) == (403, "application/json")
    assert json.loads(answer["body"]) == ["/a?b=c", "Bearer pf_x"]


def test_silence_is_an_answer_too() -> None:
    """A refused connection and a name that does not resolve say so."""
    assert ask(request("http://127.0.0.1:9/"))["error"].startswith("ConnectionRefusedError")
    assert "error" in ask(request("http://no.such.name.invalid/"))
