from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from jobs_grpc.worker.attempts.attempt import Attempt
from jobs_grpc.worker.attempts.table import State
from jobs_grpc.worker.journal import journal as journal_module
from jobs_grpc.worker.journal.entries import Memory
from jobs_grpc.worker.journal.frames import end_of_frames, frame, unframe
from jobs_grpc.worker.journal.journal import Journal
from jobs_grpc.worker.work import (
    FunctionCall,
    Outcome,
    Receipt,
    Result,
    SignalSent,
    Usage,
)
from support.small_disk import fill, small_disk
from support.until import until
from unit.worker.stand_ins import a_lease, a_result

PAYLOADS = [b"one", b"two" * 1000, b"\x00\xff"]


@pytest.mark.parametrize("cut", [1, 5, 9])
def test_reading_stops_before_a_torn_tail(cut: int) -> None:
    whole = b"".join(map(frame, PAYLOADS))
    assert list(unframe(whole)) == PAYLOADS
    assert list(unframe(whole[:-cut])) == PAYLOADS[:-1]


def test_reading_stops_at_damage_and_at_zeros() -> None:
    whole = bytearray(b"".join(map(frame, PAYLOADS)))
    assert list(unframe(bytes(whole) + bytes(4096))) == PAYLOADS
    whole[20] ^= 1  # in the second payload
    assert list(unframe(bytes(whole))) == PAYLOADS[:1]
    assert list(unframe(b"\xff" * 64)) == []


class Desk:
    """A journal on a disk, and the attempts that are live."""

    def __init__(self, directory: Path, *, segment_bytes: int = 1 << 20) -> None:
        self.directory = directory
        self.attempts: list[Attempt] = []
        self.durable: list[int] = []
        self.acknowledged: dict[int, int] = {}
        self.journal = Journal(
            directory,
            boot_id="a-boot",
            live=self._live,
            on_durable=lambda done: self.durable.extend(one.fence for one in done),
            segment_bytes=segment_bytes,
            ahead_bytes=4096,
        )
        self.past = self.journal.recollect()
        self.journal.open()

    def _live(self) -> Iterator[tuple[Attempt, int | None]]:
        for attempt in self.attempts:
            yield attempt, self.acknowledged.get(attempt.fence)

    def begin(self, *fences: int) -> list[Attempt]:
        begun = [
            Attempt.of_lease(a_lease(fence, call=FunctionCall("f"))) for fence in fences
        ]
        for attempt in begun:
            attempt.state = State.RUNNING
            attempt.started_at = attempt.fence * 1_000_000
        self.attempts += begun
        self.journal.begin(begun)
        return begun

    def end(self, attempt: Attempt, result: Result | None = None) -> None:
        attempt.end(result or a_result())
        self.journal.end(attempt)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.ensure_future(self.journal.run())
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    def size(self) -> int:
        """Return how much is written in the journal."""
        return sum(
            end_of_frames(path.read_bytes()) for path in self.directory.iterdir()
        )

    def remembered(self) -> dict[int, Memory]:
        """Return what the next process would find."""
        self.journal.close()
        return Desk(self.directory).past.attempts


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "journal")


async def test_what_has_begun_is_remembered(desk: Desk) -> None:
    desk.begin(1, 2)
    remembered = desk.remembered()
    assert set(remembered) == {1, 2}
    one = remembered[1]
    assert one.ticket == desk.attempts[0].ticket
    assert (one.started_at, one.boot_id, one.result) == (1_000_000, "a-boot", None)


async def test_a_directory_belongs_to_whom_it_was_given_last(desk: Desk) -> None:
    for fence, place in ((1, 7), (2, 8), (3, 7), (4, 0), (5, 0)):
        attempt = Attempt.of_lease(a_lease(fence))
        attempt.place = place
        desk.journal.begin([attempt])
    places = {fence: one.place for fence, one in desk.remembered().items()}
    assert places == {1: 0, 2: 8, 3: 7, 4: 0, 5: 0}


async def test_a_result_is_remembered_in_every_detail(desk: Desk) -> None:
    (one,) = desk.begin(1)
    result = Result(
        Outcome.TIMED_OUT,
        1_000,
        2_000,
        exit_code=0,
        signal="KILL",
        error='it said "nö"',
        result_json='{"a": [1, null]}',
        output_bytes=5,
        output_dropped=6,
        usage=Usage(1, 2, 3),
        receipt=Receipt((SignalSent("TERM", 7, 8),), ("sleep (9)",), True),
    )
    async with desk.running():
        desk.end(one, result)
        await desk.journal.settle()
    assert desk.durable == [1]
    assert desk.remembered()[1].result == result


async def test_a_group_has_one_sync_and_no_result_leaves_before_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs = []

    def sync(descriptor: int) -> None:
        syncs.append(list(desk.durable))

    monkeypatch.setattr(os, "fdatasync", sync)
    async with desk.running():
        for attempt in desk.begin(*range(1, 501)):
            desk.end(attempt)
        await desk.journal.settle()
    assert syncs == [[]]
    assert desk.durable == list(range(1, 501))


async def test_acknowledgements_and_farewells_are_written_soon(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "NOTE_SECONDS", 0.01)
    async with desk.running():
        for attempt in desk.begin(1, 2, 3):
            desk.end(attempt)
        await desk.journal.settle()
    (process,) = desk.begin(4)
    process.end(a_result(Outcome.FAILED))
    desk.journal.keep(process)
    desk.journal.acknowledge(77, [1, 2])
    desk.journal.acknowledge(78, [4])
    desk.journal.forget([3])
    noted: list[int] = []
    size = desk.size()
    desk.journal.after_notes(lambda: noted.append(desk.size()))
    assert noted == []
    await until(lambda: noted)
    assert noted[0] > size
    desk.journal.after_notes(lambda: noted.append(0))
    assert noted[1] == 0
    remembered = desk.remembered()
    assert set(remembered) == {1, 2, 4}
    assert remembered[1].acknowledged_at == 77
    assert remembered[4].acknowledged_at == 78
    assert remembered[4].result == a_result(Outcome.FAILED)


async def test_a_long_journal_is_rewritten_with_what_is_live(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "journal", segment_bytes=20_000)
    async with desk.running():
        for start in range(1, 400, 20):
            for attempt in desk.begin(*range(start, start + 20)):
                desk.end(attempt)
            await desk.journal.settle()
            done = [attempt.fence for attempt in desk.attempts[:-5]]
            desk.acknowledged |= dict.fromkeys(done, 5)
            desk.journal.acknowledge(5, done)
            del desk.attempts[:-10]
    files = list(desk.directory.iterdir())
    assert len(files) == 1
    assert files[0].stat().st_size < 40_000
    remembered = desk.remembered()
    live = [attempt.fence for attempt in desk.attempts]
    assert set(live) <= set(remembered)
    assert all(remembered[fence].result == a_result() for fence in live)
    assert remembered[live[0]].acknowledged_at == 5
    assert remembered[live[-1]].acknowledged_at is None


async def test_a_full_disk_keeps_results_waiting_and_tears_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "RETRY_SECONDS", 0.01)
    write = os.pwrite
    refusals = 3

    def half(descriptor: int, data: bytes, position: int) -> int:
        nonlocal refusals
        if refusals and len(data) > 10:
            refusals -= 1
            write(descriptor, data[: len(data) // 2], position)
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data, position)

    one, two = desk.begin(1, 2)
    monkeypatch.setattr(os, "pwrite", half)
    async with desk.running():
        desk.end(one)
        await desk.journal.settle()
        assert (desk.durable, refusals) == ([1], 0)
        desk.end(two)
        await desk.journal.settle()
    remembered = desk.remembered()
    assert [remembered[fence].result for fence in (1, 2)] == [a_result()] * 2


async def test_a_sync_that_failed_is_never_trusted_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "RETRY_SECONDS", 0.01)
    first = {desk.journal._descriptor}
    used = []

    def sync(descriptor: int) -> None:
        used.append(descriptor)
        if len(used) == 1:
            raise OSError(errno.EIO, "Input/output error")

    before = set(desk.directory.iterdir())
    monkeypatch.setattr(os, "fdatasync", sync)
    (one,) = desk.begin(1)
    async with desk.running():
        desk.end(one)
        await desk.journal.settle()
    assert set(used[:1]) == first
    assert set(desk.directory.iterdir()).isdisjoint(before)
    assert desk.remembered()[1].result == a_result()


async def test_a_start_that_cannot_be_noted_is_no_obstacle(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(descriptor: int, data: bytes, position: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", refuse)
        desk.begin(1)
    assert "cannot note the start" in caplog.text
    desk.begin(2)
    assert set(desk.remembered()) == {2}


async def test_a_disk_that_fills_up_after_the_start_loses_no_result(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "disk", size="2m") as disk:
        desk = Desk(disk / "journal")
        attempts = desk.begin(1, 2, 3)
        assert all(desk.journal.reserve(attempt) for attempt in attempts)
        ballast = fill(disk)
        large = Result(Outcome.SUCCEEDED, 1, 2, result_json='"' + "x" * 60_000 + '"')
        async with desk.running():
            for attempt in attempts:
                desk.end(attempt, large)
            await desk.journal.settle()
            assert desk.durable == [1, 2, 3], "on the full disk"
            (late,) = desk.begin(4)
            assert not desk.journal.reserve(late), "and no more is promised"
        # The next process begins on a disk that is still full.
        desk.journal.close()
        again = Desk(disk / "journal")
        assert {
            f: m.result for f, m in again.past.attempts.items() if f < 4
        } == dict.fromkeys((1, 2, 3), large)
        ballast.unlink()
        assert again.journal.reserve(late)
        again.journal.close()


async def test_room_that_was_not_needed_is_free_again(desk: Desk) -> None:
    (one,) = desk.begin(1)
    before = desk.journal._allocated
    for _ in range(100):
        assert desk.journal.reserve(one)
        desk.journal.unreserve(one)
    assert desk.journal._allocated <= before + 200_000
