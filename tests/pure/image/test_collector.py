"""The garbage collector while a server loads what stays."""

from __future__ import annotations

import gc

from prefect_server.collector import paused_collector


def test_it_pauses_and_then_leaves_out_what_is_there() -> None:
    """No collection in the block; after it the collector runs again, on what is new."""
    with paused_collector():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0
    gc.unfreeze()
