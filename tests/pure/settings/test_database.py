"""The database URL and the connection budget."""

from __future__ import annotations

import pytest

from settings.database import DatabaseUrlError, connection_budget, is_pooler, normalise

PREFECT = "postgresql+asyncpg://"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("postgres://u:p@h/db", "u:p@h:5432/db?ssl=require"),
        ("postgresql://u:p@h:5433/db", "u:p@h:5433/db?ssl=require"),
        ("postgresql+psycopg2://u:p@h", "u:p@h:5432/postgres?ssl=require"),
        ("postgresql+asyncpg://u:p%40ss@h/db?ssl=require", "u:p%40ss@h:5432/db?ssl=require"),
        (
            "postgresql://postgres.ref:p@ss/w:rd#1%?&+ x@aws-0-eu.pooler.supabase.com:5432/postgres?sslmode=require",
            "postgres.ref:p%40ss%2Fw%3Ard%231%25%3F%26%2B%20x@aws-0-eu.pooler.supabase.com:5432/postgres?ssl=require",
        ),
        ("postgresql://u:100%@h/db", "u:100%25@h:5432/db?ssl=require"),
        ("postgresql://u:p@[2001:db8::1]:5432/db", "u:p@[2001:db8::1]:5432/db?ssl=require"),
        ("postgresql://u:a@b/c@h:5432/db?connect_timeout=5", "u:a%40b%2Fc@h:5432/db?ssl=require"),
    ],
)
def test_common_spellings_become_the_one_prefect_accepts(raw: str, expected: str) -> None:
    """Any scheme, sslmode and raw special characters end as asyncpg's URL with everything percent-encoded."""
    assert normalise(raw, require_tls=True).url == PREFECT + expected


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("postgresql://u:hunter2@h:6543/db", "transaction pooler"),
        ("sqlite:///prefect.db", "not Postgres"),
        ("just text", "no URL"),
        ("postgresql://u@h/db", "no user and password"),
        ("postgresql://u:hunter2@", "no host"),
        ("postgresql://u:hunter2@h:99999/db", "not between 1 and 65535"),
        ("postgresql://u:hunter2@h/db?sslmode=disable", "in clear"),
        ("postgresql://u:hunter2@h/db?sslmode=verify-full", "databaseCa"),
        ("postgresql://u:hunter2@h/db?sslmode=maybe", "unknown"),
        ("postgresql://u:hunter2@h/db?options=-csearch_path%3Dx", "database.schema"),
        ("postgresql://u:hunter2@h/db?pgbouncer=true", "session-pooler"),
        ("postgresql://u:hunter2@h/db?foo=1", "unknown to the driver"),
    ],
)
def test_what_prefect_cannot_use_is_refused_without_repeating_the_password(raw: str, reason: str) -> None:
    """Each refusal states its reason, and never the password."""
    with pytest.raises(DatabaseUrlError, match=reason) as caught:
        normalise(raw, require_tls=True)
    assert "hunter2" not in str(caught.value)


def test_plaintext_is_possible_only_when_the_stack_says_so() -> None:
    """Without requireTls a silent URL stays silent, and sslmode=disable is honoured."""
    assert normalise("postgresql://u:p@h/db", require_tls=False).url == f"{PREFECT}u:p@h:5432/db"
    assert normalise("postgresql://u:p@h/db?sslmode=disable", require_tls=False).url == f"{PREFECT}u:p@h:5432/db"


def test_the_password_is_not_in_the_repr() -> None:
    """A URL object can be logged."""
    assert "hunter2" not in repr(normalise("postgresql://u:hunter2@h/db", require_tls=True))


@pytest.mark.parametrize("tier", ["nano", "micro", "small", "medium"])
@pytest.mark.parametrize("processes", range(1, 6))
def test_the_pools_of_all_processes_fit_the_tier(tier: str, processes: int) -> None:
    """Whatever the number of processes, their peak and that of one more leave room for people and a migration."""
    budget = connection_budget(tier, processes)
    one_more = budget.peak // processes
    assert budget.peak + one_more <= budget.total - 12
    assert budget.pool_size >= 3
    assert str(budget.peak) in budget.describe()


def test_too_many_processes_for_a_tier_are_refused() -> None:
    """The refusal names both ways out."""
    with pytest.raises(ValueError, match=r"fewer replicas or a larger database\.tier"):
        connection_budget("nano", 9)


def test_the_session_pooler_takes_two_servers_and_a_migration() -> None:
    """Fifteen clients: a server, the one that replaces it in another region, and a migration with two connections."""
    budget = connection_budget("medium", 1, 15)
    assert (budget.pool_size, budget.max_overflow) == (3, 0)
    assert 2 * budget.peak + 2 <= 15
    assert "of 15 connections" in budget.describe()
    with pytest.raises(ValueError, match=r"the session pooler takes 15: .*database\.poolerClients"):
        connection_budget("medium", 2, 15)
    assert connection_budget("medium", 2, 40).pool_size == 5


def test_a_budget_for_one_process_less_is_enough_in_place() -> None:
    """Two processes and no third fit fifteen clients, where machines are updated in place."""
    budget = connection_budget("medium", 2, 15, in_place=True)
    assert (budget.pool_size, budget.one_more) == (3, False)
    assert budget.peak + 2 <= 15
    assert connection_budget("nano", 1, in_place=True) == connection_budget("nano", 1)
    with pytest.raises(ValueError, match="need at least 20 connections"):
        connection_budget("medium", 3, 15, in_place=True)


@pytest.mark.parametrize(
    ("url", "pooled"),
    [
        ("postgresql://postgres.ref:p@aws-0-eu-west-1.pooler.supabase.com:5432/postgres", True),
        ("postgres://u:pooler.supabase.com@db.ref.supabase.co/postgres", False),
        ("postgresql://u:p@x.pooler.supabase.com.example.org/db", False),
    ],
)
def test_a_pooler_is_known_by_its_host(url: str, pooled: bool) -> None:
    """Not by what stands in the password or in another domain."""
    assert is_pooler(url) is pooled
