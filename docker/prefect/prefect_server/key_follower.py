"""Keeps a running server's keys at the newest ring that the stack signed, without a restart.

The newest of three counts: the ring of this machine's own secret, the one in the database, and one that is published to
any machine (PUT /gate/keys). Whoever finds an older one, a forged one or none in the database puts the newest back, so
that machines agree and a database that was restored does not bring revoked keys back. A database that is away changes
nothing: the ring that is held stays.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from prefect_server.counters import RefusalLog
from prefect_server.keys import KeyRing, KeyRingError
from prefect_server.signed_ring import SignedRing, Signer

logger = logging.getLogger("prefect_fly")

# How long a key that was revoked by way of another machine may still be taken here.
LOOK_SECONDS = 2.0
PATIENCE_SECONDS = 5.0
# A machine that cannot see the table when it starts must not guess: its own secret may be older.
START_ATTEMPTS = 4
START_PAUSE_SECONDS = 3.0


class KeyTableError(Exception):
    """The table could not be read or written; the text names the kind of error and nothing else."""


class KeysNotReadError(RuntimeError):
    """A server cannot start: it cannot know whether its keys are the newest."""


class PublishError(Exception):
    """A published ring is not taken; the text says why, `status` is the HTTP status for it."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class KeyTable(Protocol):
    """Where machines of one stack leave the newest ring for each other."""

    async def read(self) -> SignedRing | None:
        """Return the row as it stands, None without one.

        Raises:
            KeyTableError: the database does not answer.
        """

    async def write(self, newest: SignedRing, instead_of: SignedRing | None) -> None:
        """Write the row if what stands there is older, or is `instead_of`; leave it alone otherwise.

        Raises:
            KeyTableError: the database does not answer.
        """


class KeyFollower:
    """Holds the newest ring.

    Args:
        signer: of this stack.
        table: of this stack.
        own: the ring of this machine's secret.
        exchange: makes the gate use a ring from now on.

    Attributes:
        held: the newest ring so far.
        forged: how many rows were found that this stack did not sign.
        trouble: why the table is not followed right now, empty while it is.
    """

    def __init__(self, signer: Signer, table: KeyTable, own: SignedRing, exchange: Callable[[KeyRing], None]) -> None:
        self.held = own
        self.forged = 0
        self.trouble = ""
        self._signer, self._table, self._exchange = signer, table, exchange
        self._one_at_a_time = asyncio.Lock()
        self._note = RefusalLog().note

    def is_publisher(self, credential: str | None) -> bool:
        """Tell whether a request comes from whoever may publish a ring."""
        return hmac.compare_digest((credential or "").encode(errors="surrogatepass"), self._signer.publisher.encode())

    def report(self) -> dict[str, object]:
        """What GET /gate/keys says besides the keys' use."""
        return {"generation": self.held.generation, "forged": self.forged, "trouble": self.trouble}

    async def start(self) -> None:
        """Take the newest ring before anybody is served.

        Raises:
            KeysNotReadError: the table does not answer.
        """
        for attempt in range(START_ATTEMPTS):
            if attempt:
                await asyncio.sleep(START_PAUSE_SECONDS)
            await self.look()
            if not self.trouble:
                return
        raise KeysNotReadError(f"could not start with the newest keys: {self.trouble}")

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Look every few seconds while the block runs."""
        looking = asyncio.create_task(self._look_again_and_again())
        try:
            yield
        finally:
            looking.cancel()

    async def _look_again_and_again(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Compare the table with what is held, and bring the older of the two up to the newer."""
        try:
            async with self._one_at_a_time, asyncio.timeout(PATIENCE_SECONDS):
                self._say(await self._agree())
        except KeyTableError as error:
            self._say(f"the table of keys does not answer ({error})")
        except TimeoutError:
            self._say(f"the table of keys does not answer (nothing in {PATIENCE_SECONDS:.0f} s)")

    async def publish(self, given: SignedRing) -> None:
        """Take a ring that somebody sent, here and in the table; returns when both have it.

        Raises:
            PublishError: it is not signed by this stack, older than what is held, or cannot be kept.
        """
        if not self._signer.is_genuine(given):
            raise PublishError(403, "The ring is not signed with this server's signing secret.")
        try:
            ring = KeyRing.parse(given.ring)
        except KeyRingError as error:
            raise PublishError(422, f"This server's image cannot use the ring: {error}.") from error
        try:
            async with self._one_at_a_time, asyncio.timeout(PATIENCE_SECONDS):
                # What the other machines know counts as well; an older ring must not pass by way of this one.
                await self._agree()
                if given.generation < self.held.generation or self._is_another(given):
                    raise PublishError(409, f"The server holds generation {self.held.generation} of the keys already.")
                await self._table.write(given, None)
                self._take(given, ring)
        except KeyTableError as error:
            raise PublishError(503, f"The database does not answer ({error}).") from error
        except TimeoutError as error:
            raise PublishError(503, "The database does not answer.") from error

    async def _agree(self) -> str:
        """Bring table and server to the newer ring; return what keeps this machine from it, usually nothing."""
        row = await self._table.read()
        if row is not None and not self._signer.is_genuine(row):
            self.forged += 1
            self._note(f"ignored keys in the database that this stack did not sign (generation {row.generation})")
            await self._table.write(self.held, row)
        elif row is None or row.generation < self.held.generation:
            logger.info("wrote generation %d of the keys into the database", self.held.generation)
            await self._table.write(self.held, row)
        elif row.generation > self.held.generation:
            try:
                self._take(row, KeyRing.parse(row.ring))
            except KeyRingError as error:
                return f"this image cannot use generation {row.generation} of the keys: {error}"
        return ""

    def _is_another(self, given: SignedRing) -> bool:
        return given.generation == self.held.generation and given.ring != self.held.ring

    def _take(self, newest: SignedRing, ring: KeyRing) -> None:
        if newest.generation > self.held.generation:
            self.held = newest
            self._exchange(ring)
            logger.info("the keys are now of generation %d: %s", newest.generation, ", ".join(sorted(ring.names)))

    def _say(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            logger.warning("%s; the keys stay those of generation %d", trouble, self.held.generation)
        elif self.trouble and not trouble:
            logger.info("the table of keys is followed again")
        self.trouble = trouble
