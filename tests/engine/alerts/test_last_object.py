"""The last thing that a stack keeps on its server, and the key with which it is removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from proof.stage import Stage, stage

pytestmark = [pytest.mark.engine]


def _kept(made: Stage) -> tuple[list[object], list[object]]:
    """The blocks and the automations on the server."""
    found = made.signature()
    return found["blocks"], found["automations"]


def test_the_last_alert_channel_is_removed_with_a_key_that_the_server_still_accepts(tmp_path: Path) -> None:
    """The list of keys is published before objects go, so the stack's own key must not leave it with the last one."""
    with stage(tmp_path) as made:
        made.tell(ops=("failed",))
        made.engine.up()
        assert all(_kept(made))
        made.tell()
        made.engine.up()
        assert not any(_kept(made))
        assert made.engine.preview(expect_no_changes=True) == {}
