"""When a log has come to its end."""

from __future__ import annotations

import pytest

from jobs_grpc.controlplane.output import AttemptEnd, Gap, GapReason
from jobs_grpc.controlplane.output.watch import Watch
from unit.output.stand import KEY, FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def watch(clock: FakeClock) -> Watch:
    return Watch(key=KEY, clock=clock, grace_seconds=10)


def test_a_running_attempt_has_no_end(watch: Watch, clock: FakeClock) -> None:
    watch.grow(5)
    clock.advance(1_000)
    assert not watch.is_over


def test_a_result_alone_is_no_end(watch: Watch) -> None:
    watch.grow(5)
    watch.learn(AttemptEnd(output_bytes=5, final=False))
    assert not watch.is_over


@pytest.mark.parametrize("in_order", [True, False])
def test_final_and_complete_is_the_end(watch: Watch, *, in_order: bool) -> None:
    if in_order:
        watch.grow(5)
    watch.learn(AttemptEnd(output_bytes=5, final=True))
    if not in_order:
        assert not watch.is_over
        watch.grow(5)
    assert watch.is_complete
    assert watch.is_over


def test_the_two_halves_of_the_end_may_come_in_any_order(watch: Watch) -> None:
    watch.grow(5)
    watch.learn(AttemptEnd(output_bytes=None, final=True))
    assert not watch.is_over
    watch.learn(AttemptEnd(output_bytes=5, final=False))
    assert watch.is_complete


def test_missing_bytes_are_waited_for_as_long_as_the_log_grows(
    watch: Watch, clock: FakeClock
) -> None:
    watch.learn(AttemptEnd(output_bytes=100, final=True))
    for size in range(1, 6):
        clock.advance(9)
        watch.grow(size)
        assert not watch.is_over
    clock.advance(9)
    watch.grow(5)
    clock.advance(1)
    assert watch.is_over
    assert not watch.is_complete


def test_an_execution_that_ended_long_ago_is_not_waited_for(
    watch: Watch, clock: FakeClock
) -> None:
    day = 86_400_000_000
    end = AttemptEnd(output_bytes=None, final=True, ended_at=clock.now() - day)
    watch.learn(end)
    assert watch.is_over


def test_an_end_in_the_future_is_waited_for_no_longer_than_the_grace(
    watch: Watch, clock: FakeClock
) -> None:
    day = 86_400_000_000
    watch.learn(AttemptEnd(output_bytes=7, final=True, ended_at=clock.now() + day))
    clock.advance(10)
    assert watch.is_over


def test_what_is_missing_begins_where_both_log_and_reader_end(watch: Watch) -> None:
    assert watch.missing_from(0) is None
    watch.learn(AttemptEnd(output_bytes=10, final=True))
    watch.grow(4)
    gap = Gap(offset=4, length=6, reason=GapReason.MISSING)
    assert watch.missing_from(0) == watch.missing_from(4) == gap
    assert watch.missing_from(9) == Gap(offset=9, length=1, reason=GapReason.MISSING)
    assert watch.missing_from(10) is None
