from __future__ import annotations

import pytest

from clients.errors import ApiError, ConflictError, TransientError
from clients.loops import create_once, until
from tests.support.scripted_http import FakeClock


def test_until_looks_at_once_and_once_more_at_the_end() -> None:
    """What came in the last interval still counts."""
    clock = FakeClock(now=0.0)
    looks = [(left, clock.now) for left in until(7.0, timing=clock.timing(), every=3.0)]
    assert looks == [(7.0, 0.0), (4.0, 3.0), (1.0, 6.0), (0.0, 7.0)]


def test_until_looks_often_at_first() -> None:
    """Pauses grow to a tenth of the time waited, up to the longest: what is quick is seen at once."""
    clock = FakeClock(now=0.0)
    for _left in until(60.0, timing=clock.timing(), every=5.0, first=0.2):
        assert clock.now <= 60.0
    assert clock.slept[:3] == [0.2, 0.2, 0.2]
    assert max(clock.slept) == 5.0
    assert clock.now == pytest.approx(60.0)
    waited = 0.0
    for pause in clock.slept[:-1]:
        assert pause == pytest.approx(min(5.0, max(0.2, waited / 10)))
        waited += pause


def test_until_with_no_time_looks_once() -> None:
    """A deadline that is over already still gets one look."""
    assert list(until(-1.0, timing=FakeClock().timing(), every=3.0)) == [0.0]


class Maker:
    """Fails with these errors, one a call, then creates; `there` says what a look finds after so many calls."""

    def __init__(self, *errors: ApiError, there: int = 99) -> None:
        self.errors, self.there, self.calls = list(errors), there, 0
        self.told: list[ApiError] = []

    def create(self) -> str:
        """Fail or create."""
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "made"

    def run(self) -> str:
        """Create once."""
        return create_once(
            self.create,
            lambda: "found" if self.calls >= self.there else None,
            unclear=(TransientError, ConflictError),
            final=(ConflictError,),
            retrying=self.told.append,
            timing=FakeClock().timing(),
        )


TROUBLE = TransientError("create it", "try later")


def test_what_is_there_after_a_lost_answer_is_not_made_twice() -> None:
    """The look comes before the second attempt."""
    maker = Maker(TROUBLE, there=1)
    assert (maker.run(), maker.calls) == ("found", 1)


def test_what_is_not_there_is_tried_again() -> None:
    """Every attempt is told, and three are enough."""
    maker = Maker(TROUBLE)
    assert (maker.run(), maker.calls, maker.told) == ("made", 2, [TROUBLE])
    maker = Maker(TROUBLE, TROUBLE, TROUBLE)
    with pytest.raises(TransientError):
        maker.run()
    assert maker.calls == 3


def test_a_final_error_is_looked_at_and_not_repeated() -> None:
    """A conflict may be our own earlier call; otherwise it stays one."""
    conflict = ConflictError("create it", "somebody else did")
    assert Maker(conflict, there=1).run() == "found"
    maker = Maker(conflict)
    with pytest.raises(ConflictError):
        maker.run()
    assert maker.calls == 1


def test_other_errors_pass_at_once() -> None:
    """What is certain is not looked for."""
    maker = Maker(ApiError("create it", "no"), there=1)
    with pytest.raises(ApiError):
        maker.run()
    assert maker.calls == 1
