"""One look at a list for several askers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from clients.looks import LASTS, SharedLooks


class World:
    """Counts how often it was asked, and a clock that stands still."""

    def __init__(self) -> None:
        self.now, self._asked = 0.0, count(1)
        self.looks = SharedLooks[int](lambda: self.now)

    def glance(self, asker: str, what: str = "app") -> int:
        """Return the number of the look that the asker was shown."""
        return self.looks.at(what, asker, lambda: next(self._asked))


def test_another_asker_sees_the_same_look_and_the_same_one_a_new_one() -> None:
    """A refresh of two resources asks once; whoever asks a second time wants to know what changed since."""
    world = World()
    assert [world.glance(asker) for asker in ("a", "b", "a", "b", "b")] == [1, 1, 2, 2, 3]


def test_a_look_is_of_one_thing_and_does_not_last() -> None:
    """Another app is looked at by itself, and what was seen seconds ago is not shown any more."""
    world = World()
    assert [world.glance("a"), world.glance("b", "another")] == [1, 2]
    world.now = LASTS + 0.1
    assert world.glance("c") == 3


def test_a_look_from_before_a_write_is_shown_to_nobody() -> None:
    """After `forget` the next asker sees for itself."""
    world = World()
    world.glance("a")
    world.looks.forget("app")
    assert world.glance("b") == 2


def test_a_look_that_failed_is_not_shared() -> None:
    """The asker gets the error; the next one asks again."""
    world = World()
    with pytest.raises(ZeroDivisionError):
        world.looks.at("app", "a", lambda: 1 // 0)
    assert world.glance("b") == 1


def test_askers_at_the_same_time_ask_once() -> None:
    """Four threads, as many as a dynamic provider has: one call, and all four see its answer."""
    world = World()
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(world.glance, "abcd")) == {1}
