"""Sessions live longer where there are many, so that heartbeats stay affordable."""

from __future__ import annotations

import pytest

from jobs_grpc.controlplane.core.fleet.session_time import BEATS, KEY, RATE, SessionTime
from jobs_grpc.controlplane.core.state.draft import Draft
from jobs_grpc.controlplane.core.state.live import Sequence
from support.jobs import NOON, SECOND

USUAL = 30 * SECOND


def draft(now: int = NOON) -> Draft:
    return Draft(now=now, sequence=Sequence(1))


def grown(sessions: int, usual: int = USUAL) -> int:
    time = SessionTime(usual)
    time.grow(draft(), sessions)
    return time.current


@pytest.mark.parametrize(
    ("sessions", "seconds"),
    [(1, 30), (4_000, 30), (4_001, 37.5), (5_000, 37.5), (10_000, 75), (50_000, 375)],
)
def test_it_grows_with_the_fleet(sessions: int, seconds: float) -> None:
    assert grown(sessions) == seconds * SECOND
    beats_a_second = sessions * BEATS / seconds
    assert beats_a_second <= RATE


def test_a_time_of_ones_own_grows_too() -> None:
    assert grown(400, usual=3 * SECOND) == 3 * SECOND
    assert grown(1_000, usual=3 * SECOND) == 7.5 * SECOND


def test_it_never_shrinks_within_a_term() -> None:
    time = SessionTime(USUAL)
    time.grow(draft(), 10_000)
    time.grow(draft(), 1)
    assert time.current == 75 * SECOND


def test_what_is_promised_is_written_before_it_is_told_and_only_when_it_changes() -> (
    None
):
    time = SessionTime(USUAL)
    first, second, third = draft(), draft(), draft()
    time.grow(first, 1)
    time.grow(second, 4_000)
    time.grow(third, 10_000)
    written = [[tuple(row) for row in one.meta] for one in (first, second, third)]
    assert written == [[(KEY, str(USUAL))], [], [(KEY, str(75 * SECOND))]]


def test_an_earlier_promise_is_kept_until_nobody_can_count_on_it() -> None:
    time = SessionTime(USUAL, str(4 * USUAL))
    assert (time.current, time.promised) == (USUAL, 4 * USUAL)
    time.expire(draft())
    time.grow(draft(), 1)
    time.expire(draft(NOON + 4 * USUAL))
    assert time.promised == 4 * USUAL
    late = draft(NOON + 4 * USUAL + 1)
    time.expire(late)
    assert time.promised == USUAL
    assert [tuple(row) for row in late.meta] == [(KEY, str(USUAL))]
    time.expire(late)
    assert len(late.meta) == 1


def test_nonsense_in_the_store_promises_nothing() -> None:
    assert SessionTime(USUAL, "soon").promised == USUAL
