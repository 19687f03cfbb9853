from __future__ import annotations

import errno
import os
import select
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs_grpc.worker.keeper.memory.journal import (
    Journal,
    ended_fact,
    keeper_fact,
    read_journal,
    started_fact,
    starting_fact,
)
from jobs_grpc.worker.keeper.memory.recovery import remember
from jobs_grpc.worker.keeper.protocol import record_json
from jobs_grpc.worker.keeper.record import ExitRecord, Outcome

HEAD = keeper_fact(boot_id="boot", pid=1)


def ended(fence: int) -> bytes:
    record = ExitRecord(fence=fence, outcome=Outcome.EXITED, finished_at_us=9)
    return ended_fact(record_json(record), pid=fence, start_ticks=5)


def begun(journal: Journal, fence: int) -> None:
    journal.note(fence, starting_fact(fence, f"JOBS_FENCE={fence}"))
    started = started_fact(fence, pid=fence, start_ticks=5, started_at_us=7)
    journal.note(fence, started)


def until_idle(journal: Journal) -> None:
    """Do what the keeper's loop does, until nobody waits for the disk."""
    poller = select.poll()
    poller.register(journal.notice, select.POLLIN)
    journal.pump()
    while not journal.is_idle:
        assert poller.poll(5_000), "the helper thread said nothing"
        journal.synced(journal.notice)
        journal.pump()


@contextmanager
def opened(path: Path, *, capacity_bytes: int = 1 << 16) -> Iterator[Journal]:
    journal = Journal(path, head=HEAD, live={}, capacity_bytes=capacity_bytes)
    yield journal
    os.close(journal.notice)


def test_what_was_begun_and_ended_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    told: list[int] = []
    with opened(path) as journal:
        for fence in (1, 2, 3):
            begun(journal, fence)
        journal.conclude(2, ended(2), lambda: told.append(2))
        journal.conclude(3, ended(3), lambda: told.append(3))
        assert told == []
        until_idle(journal)
        assert told == [2, 3]
        journal.forget(3)
        journal.flush()
    attempts = remember(path)
    assert sorted(attempts) == [1, 2]
    assert attempts[1].record is None
    assert (attempts[1].pid, attempts[1].boot_id) == (1, "boot")
    assert attempts[2].record is not None


@given(st.integers(0, 3_000))
def test_a_torn_journal_is_a_shorter_one(cut: int) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory, "journal")
        with opened(path) as journal:
            for fence in range(5):
                begun(journal, fence)
            journal.flush()
        whole = list(read_journal(path))
        used = len(path.read_bytes().rstrip(b"\0"))
        os.truncate(path, min(cut, used))
        found = list(read_journal(path))
        assert found == whole[: len(found)]
        assert len(found) == path.read_bytes().count(b"\n")


@given(st.data())
def test_a_flipped_bit_costs_the_line_that_it_is_in(data: st.DataObject) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory, "journal")
        with opened(path) as journal:
            for fence in range(5):
                begun(journal, fence)
            journal.flush()
        whole = list(read_journal(path))
        content = bytearray(path.read_bytes())
        used = len(content.rstrip(b"\0"))
        bit = data.draw(st.integers(0, used * 8 - 1))
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        found = list(read_journal(path))
        # A line break that is made or unmade may cost a second line.
        assert len(whole) - len(found) in (1, 2)
        assert all(fact in whole for fact in found)


def test_a_full_journal_is_replaced_by_what_lives(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with opened(path, capacity_bytes=4096) as journal:
        begun(journal, 0)
        for fence in range(1, 200):
            begun(journal, fence)
            journal.conclude(fence, ended(fence), lambda: None)
            until_idle(journal)
            if fence != 77:
                journal.forget(fence)
        until_idle(journal)
        assert path.stat().st_size <= 8192
    attempts = remember(path)
    assert sorted(attempts) == [0, 77]


def test_after_a_failed_fsync_everything_is_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal"
    told: list[int] = []
    failures = iter([OSError(errno.EIO, "Input/output error")])
    real = os.fdatasync

    def fail_once(descriptor: int) -> None:
        for failure in failures:
            raise failure
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", fail_once)
    with opened(path) as journal:
        before = path.stat().st_ino
        begun(journal, 1)
        journal.conclude(1, ended(1), lambda: told.append(1))
        until_idle(journal)
        assert told == [1]
        assert path.stat().st_ino != before
    assert remember(path)[1].record is not None


def test_a_full_disk_delays_the_end_but_does_not_lose_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal"
    told: list[int] = []
    with opened(path) as journal:

        def refuse(*_: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as full:
            full.setattr(os, "pwrite", refuse)
            journal.conclude(1, ended(1), lambda: told.append(1))
            journal.pump()
            assert journal.is_stuck
            assert not journal.is_idle
        until_idle(journal)
        assert told == [1]


def test_a_keeper_that_begins_on_a_full_disk_uses_the_room_that_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal"
    with opened(path) as journal:
        begun(journal, 1)
        journal.flush()

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with opened(path) as journal:
        begun(journal, 2)
        journal.conclude(2, ended(2), lambda: None)
        until_idle(journal)
    assert sorted(remember(path)) == [1, 2]
