"""How a machine is updated, and why so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import settings
from settings import Settings, SettingsError
from tests.support.stack_config import flat_config


def parse(tmp_path: Path, **changes: Any) -> Settings:
    return settings.parse(flat_config(**changes), stack="dev", owner="0123456789ab", root=tmp_path)


def test_a_machine_is_updated_beside_the_old_one_where_the_database_has_room(tmp_path: Path) -> None:
    """Unless the stack says how; the reason stands beside it, and what was asked for and does not fit is refused."""
    assert "bluegreen: a new machine" in parse(tmp_path).strategy_reason
    assert parse(tmp_path, vm={"strategy": "rolling"}).strategy_reason.endswith("(vm.strategy)")
    pooler = "postgresql://postgres.ref:pw@aws-0-eu-west-1.pooler.supabase.com:5432/postgres"
    small = {"databaseUrl": pooler, "redisUrl": "redis://h", "services": {"separate": True}}
    tree = parse(tmp_path, **small)
    assert (tree.strategy, tree.connections and tree.connections.pool_size) == ("rolling", 3)
    assert "too few connections for one more process" in tree.strategy_reason
    with pytest.raises(SettingsError, match=r"or set vm\.strategy: rolling"):
        parse(tmp_path, vm={"strategy": "bluegreen"}, **small)
