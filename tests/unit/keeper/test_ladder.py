from __future__ import annotations

import pytest

from jobs_grpc.worker.keeper.ladder import (
    PATIENCE_SECONDS,
    SWEEP_SECONDS,
    TRANSITIONS,
    Ladder,
    Rung,
    begin,
    hurry,
    observe,
)


def ladder(rung: Rung, *, kill_at: float = 10.0, sweep_at: float = 10.0) -> Ladder:
    return Ladder(rung=rung, kill_at=kill_at, sweep_at=sweep_at, abandon_at=20.0)


@pytest.mark.parametrize(
    ("rung", "now", "alive", "expected", "kills"),
    [
        (Rung.ASKED, 0.0, True, Rung.ASKED, False),
        (Rung.ASKED, 9.9, True, Rung.ASKED, False),
        (Rung.ASKED, 0.0, False, Rung.GONE, False),
        (Rung.ASKED, 10.0, True, Rung.KILLED, True),
        (Rung.ASKED, 10.0, False, Rung.GONE, False),
        # A loop that slept for long still kills before it gives up.
        (Rung.ASKED, 99.0, True, Rung.KILLED, True),
        (Rung.KILLED, 9.9, True, Rung.KILLED, False),
        (Rung.KILLED, 10.0, True, Rung.KILLED, True),
        (Rung.KILLED, 10.0, False, Rung.GONE, False),
        (Rung.KILLED, 20.0, True, Rung.ABANDONED, False),
        (Rung.KILLED, 20.0, False, Rung.GONE, False),
        (Rung.GONE, 99.0, True, Rung.GONE, False),
        (Rung.GONE, 99.0, False, Rung.GONE, False),
        (Rung.ABANDONED, 99.0, True, Rung.ABANDONED, False),
        (Rung.ABANDONED, 99.0, False, Rung.ABANDONED, False),
    ],
)
def test_each_look_from_each_rung(
    rung: Rung, now: float, alive: bool, expected: Rung, kills: bool
) -> None:
    after, kill = observe(ladder(rung), now=now, alive=alive)
    assert (after.rung, kill) == (expected, kills)


def test_a_stubborn_tree_is_killed_repeatedly_and_then_abandoned() -> None:
    climbing = begin(now=0.0, grace_seconds=1.0)
    now, kills = 0.0, 0
    while climbing.wake_at is not None:
        now = max(now, climbing.wake_at)
        climbing, kill = observe(climbing, now=now, alive=True)
        kills += kill
    assert climbing.rung is Rung.ABANDONED
    assert now == pytest.approx(1.0 + PATIENCE_SECONDS)
    assert kills == pytest.approx(PATIENCE_SECONDS / SWEEP_SECONDS, abs=2)


def test_no_grace_means_kill_at_once() -> None:
    after, kill = observe(begin(now=5.0, grace_seconds=0.0), now=5.0, alive=True)
    assert kill
    assert after.rung is Rung.KILLED


def test_a_grace_can_be_shortened_but_not_made_longer() -> None:
    begun = begin(now=0.0, grace_seconds=10.0)
    assert hurry(begun, now=1.0, grace_seconds=60.0) == begun
    shorter = hurry(begun, now=1.0, grace_seconds=2.0)
    assert shorter.kill_at == 3.0
    assert shorter.wake_at == 3.0


def test_hurrying_a_killed_tree_changes_nothing() -> None:
    killed = ladder(Rung.KILLED)
    assert hurry(killed, now=0.0, grace_seconds=0.0) == killed


def test_every_rung_can_be_reached_and_every_unfinished_one_left() -> None:
    reached = {target for row in TRANSITIONS.values() for target in row.values()}
    assert reached | {Rung.ASKED} == set(Rung)
    for rung in Rung:
        assert ladder(rung).is_over == (rung in {Rung.GONE, Rung.ABANDONED})
