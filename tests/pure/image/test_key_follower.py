"""Which of several key rings a server uses, whatever lies in the table and whoever sends one."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace

import pytest
from prefect_server import key_follower
from prefect_server.key_follower import KeyFollower, KeysNotReadError, KeyTableError, PublishError
from prefect_server.keys import KeyRing, sha256
from prefect_server.signed_ring import SignedRing, Signer

SIGNER = Signer("the stack's secret")
STRANGER = Signer("somebody else's secret")


def ring(*keys: str) -> str:
    return json.dumps({key: sha256(key) for key in keys})


OLD, NEW, NEWEST = SIGNER.sign(1, ring("a")), SIGNER.sign(2, ring("a", "b")), SIGNER.sign(3, ring("b"))


@dataclass
class Table:
    """A row that behaves as the database's statement does; `away` is a database that does not answer."""

    row: SignedRing | None = None
    away: bool = False

    async def read(self) -> SignedRing | None:
        """Return the row."""
        if self.away:
            raise KeyTableError("ConnectionRefusedError")
        return self.row

    async def write(self, newest: SignedRing, instead_of: SignedRing | None) -> None:
        """Write it, if what is there may go."""
        if self.away:
            raise KeyTableError("ConnectionRefusedError")
        if self.row is None or self.row.generation < newest.generation or self.row == instead_of:
            self.row = newest


class Server:
    """A follower and the ring that its gate was told to use."""

    def __init__(self, table: Table, own: SignedRing = OLD) -> None:
        self.ring = KeyRing.parse(own.ring)
        self.exchanges = 0
        self.follower = KeyFollower(SIGNER, table, own, self.exchange)

    def exchange(self, keys: KeyRing) -> None:
        """Stand for the gate."""
        self.ring, self.exchanges = keys, self.exchanges + 1

    def publish(self, given: SignedRing) -> int:
        """Return the HTTP status."""
        try:
            asyncio.run(self.follower.publish(given))
        except PublishError as error:
            return error.status
        return 200


@pytest.mark.parametrize(
    ("own", "row", "wins"),
    [(OLD, None, OLD), (OLD, NEW, NEW), (NEW, OLD, NEW), (NEW, NEW, NEW)],
    ids=["empty table", "newer table", "older table", "the same"],
)
def test_the_newer_of_secret_and_table_counts_and_both_have_it_then(
    own: SignedRing, row: SignedRing | None, wins: SignedRing
) -> None:
    """After the start gate and table have the newer ring, in every order in which they can be found."""
    table = Table(row)
    server = Server(table, own)
    asyncio.run(server.follower.start())
    assert table.row == server.follower.held == wins
    assert server.ring.names == KeyRing.parse(wins.ring).names
    assert server.exchanges == (wins != own)


@pytest.mark.parametrize(
    "row",
    [
        STRANGER.sign(9, ring("intruder")),
        replace(OLD, generation=9),
        replace(NEW, ring=ring("intruder")),
        replace(NEW, mac="\ud800"),
        replace(NEW, mac=""),
    ],
    ids=["another secret", "another generation", "another ring", "no hex", "no proof"],
)
def test_a_row_that_the_stack_did_not_sign_is_ignored_reported_and_replaced(row: SignedRing) -> None:
    """Whoever can write the table lets nobody in, and the ring that is held stands there again."""
    table = Table(row)
    server = Server(table)
    asyncio.run(server.follower.look())
    assert server.exchanges == 0
    assert table.row == OLD
    assert server.follower.report() == {"generation": 1, "forged": 1, "trouble": ""}


def test_a_database_of_before_brings_no_key_back() -> None:
    """A restored table, an emptied one and an older one do not reach a running server, which puts its ring back."""
    table = Table(NEWEST)
    server = Server(table)
    asyncio.run(server.follower.look())
    for row in (OLD, None, NEW):
        table.row = row
        asyncio.run(server.follower.look())
        assert table.row == NEWEST
        assert server.ring.names == {"b"}
    assert server.exchanges == 1


def test_a_database_that_is_away_changes_nothing_and_is_said() -> None:
    """The keys stay, the trouble is named and goes when the database is back."""
    table = Table(NEW, away=True)
    server = Server(table)
    asyncio.run(server.follower.look())
    assert server.ring.names == {"a"}
    assert server.follower.trouble == "the table of keys does not answer (ConnectionRefusedError)"
    table.away = False
    asyncio.run(server.follower.look())
    assert server.ring.names == {"a", "b"}
    assert server.follower.trouble == ""


def test_a_server_that_cannot_see_the_table_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own secret may be older than what the last deployment proved."""
    monkeypatch.setattr(key_follower, "START_PAUSE_SECONDS", 0)
    with pytest.raises(KeysNotReadError, match="could not start with the newest keys: the table of keys does not"):
        asyncio.run(Server(Table(away=True)).follower.start())


def test_a_ring_of_a_newer_image_is_no_reason_to_start_with_an_older_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A format that this image cannot read keeps a running server as it is, and one that starts from starting."""
    monkeypatch.setattr(key_follower, "START_PAUSE_SECONDS", 0)
    server = Server(Table(SIGNER.sign(2, '{"a": {"argon2": "x"}}')))
    with pytest.raises(KeysNotReadError, match="this image cannot use generation 2 of the keys"):
        asyncio.run(server.follower.start())
    assert server.exchanges == 0


@pytest.mark.parametrize(
    ("given", "status", "left"),
    [
        (NEW, 200, NEW),
        (OLD, 200, OLD),
        (NEWEST, 200, NEWEST),
        (STRANGER.sign(9, ring("intruder")), 403, OLD),
        (replace(NEW, generation=9), 403, OLD),
        (SIGNER.sign(0, ring("a")), 409, OLD),
        (SIGNER.sign(1, ring("c")), 409, OLD),
        (SIGNER.sign(2, "{}"), 422, OLD),
    ],
)
def test_publishing(given: SignedRing, status: int, left: SignedRing) -> None:
    """Newer rings of the stack are taken, the same one again is no mistake; everything else leaves all as it was."""
    table = Table(OLD)
    server = Server(table)
    assert server.publish(given) == status
    assert table.row == server.follower.held == left


def test_publishing_an_older_ring_through_a_machine_that_lags_behind() -> None:
    """What the others know by way of the table counts: the machine takes that and refuses the older one."""
    server = Server(Table(NEWEST))
    assert server.publish(NEW) == 409
    assert server.ring.names == {"b"}


def test_a_ring_that_cannot_be_kept_is_not_used() -> None:
    """Without the database a published ring is refused: after a crash nobody would know it."""
    server = Server(Table(OLD, away=True))
    assert server.publish(NEW) == 503
    assert server.ring.names == {"a"}


def test_stacks_in_one_database_do_not_meet() -> None:
    """Each signing secret has a name of its own in the table, which does not tell the secret or what publishes."""
    assert SIGNER.id != STRANGER.id
    assert SIGNER.publisher[:32] != SIGNER.id
    assert KeyFollower(SIGNER, Table(), OLD, lambda _keys: None).is_publisher(SIGNER.publisher)
    for other in (None, "", SIGNER.id, STRANGER.publisher, "\ud800"):
        assert not KeyFollower(SIGNER, Table(), OLD, lambda _keys: None).is_publisher(other)
