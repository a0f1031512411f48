"""Leases: while we hold one, nobody else changes the machine."""

from __future__ import annotations

from types import TracebackType

from clients.fly.client import FlyClient
from clients.fly.errors import FlyConflictError, FlyError, FlyLeaseHeldError, FlyTransientError, FlyUnreachableError
from clients.fly.model import Machine
from clients.loops import until

TTL = 60
"""Seconds. Long enough to survive a slow call, short enough that a killed run does not block the next one."""


class Lease:
    """Holds a machine's lease inside a `with` block.

    A lease of a run that was killed ends by itself, so a lease that somebody holds is waited for, up to its usual time.

    Attributes:
        nonce: what calls on the machine have to carry.
        machine_gone: set when the machine was destroyed under the lease, which went with it.

    Raises:
        FlyLeaseHeldError: somebody else still holds it after that.
    """

    def __init__(self, client: FlyClient, app: str, machine: Machine, *, ttl: int = TTL) -> None:
        self._client, self._app, self._machine, self._ttl = client, app, machine, ttl
        self.nonce = ""
        self.machine_gone = False
        self._renew_at = 0.0

    def __enter__(self) -> Lease:
        for left in until(self._ttl + 5, timing=self._client.timing, every=3.0):
            try:
                self._take()
            except (FlyConflictError, FlyTransientError, FlyUnreachableError) as error:
                # After a lost answer the lease may be ours without our knowing its nonce: it has to run out as well.
                if not left:
                    raise FlyLeaseHeldError(
                        error.doing, error.said, status=error.status, request_id=error.request_id
                    ) from None
                self._client.progress(f'machine "{self._machine.name}" is leased by somebody: {error.said}; waiting')
            else:
                return self
        raise AssertionError

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.machine_gone:
            return
        try:
            self._client.machines.release(self._app, self._machine, self.nonce)
        except FlyError:
            # It runs out by itself; what happened inside the block matters more.
            self._client.progress(f'the lease of machine "{self._machine.name}" was not given back; it runs out')

    def keep(self) -> None:
        """Refresh the lease when half of its time is over. Called by every loop that waits."""
        if self._client.timing.clock() >= self._renew_at:
            self._take()

    def _take(self) -> None:
        self.nonce = self._client.machines.lease(self._app, self._machine, seconds=self._ttl, nonce=self.nonce)
        self._renew_at = self._client.timing.clock() + self._ttl / 2
