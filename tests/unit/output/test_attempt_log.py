"""One log through failing calls and crashes, each case by itself."""

from __future__ import annotations

import pytest

from jobs_grpc.controlplane.output import GapReason
from unit.output.desk import PATH, Desk
from unit.output.stand import chunk, text_of


def _append_in_vain(desk: Desk, data: bytes, offset: int, *, after_calls: int) -> None:
    desk.disk.fails_in = after_calls
    with pytest.raises(OSError, match="error"):
        desk.append(chunk(data, offset))
    desk.disk.fails_in = None


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_log_that_was_never_written_is_empty_and_makes_no_file(desk: Desk) -> None:
    assert desk.text() == b""
    assert desk.append(chunk(b"", 0)) == 0
    assert desk.append(chunk(b"later", 5)) == 0
    assert desk.disk.files == {}


def test_after_a_failed_sync_the_bytes_are_written_again(desk: Desk) -> None:
    """The pages of a failed sync look clean: to sync again is not enough."""
    desk.append(chunk(b"one", 0))
    _append_in_vain(desk, b"two", 3, after_calls=1)
    assert desk.text() == b"one"
    assert desk.append(chunk(b"two", 3)) == 6
    for seed in range(20):
        desk.crash(seed)
        assert desk.text() == b"onetwo"


def test_records_found_after_a_failed_sync_and_a_kill_are_written_again(
    desk: Desk,
) -> None:
    """The next process finds them whole in memory pages that will never be written."""
    desk.append(chunk(b"one", 0))
    _append_in_vain(desk, b"two", 3, after_calls=1)
    # The cut failed too, or the process ended before it.
    desk.disk.files[PATH].bytes[:] = _with_second_record(desk)
    desk.start()
    assert desk.append(chunk(b"two", 3)) == 6
    for seed in range(20):
        desk.crash(seed)
        assert desk.text() == b"onetwo"


def test_a_cut_that_failed_is_made_good_before_the_next_write(desk: Desk) -> None:
    desk.append(chunk(b"one", 0))
    _append_in_vain(desk, b"a much longer second group", 3, after_calls=1)
    assert not desk.log.may_be_forgotten
    assert desk.append(chunk(b"a", 3)) == 4
    assert desk.log.may_be_forgotten
    desk.start()
    assert desk.text() == b"onea"


def test_what_a_killed_process_left_is_synced_before_anyone_is_answered(
    desk: Desk,
) -> None:
    desk.log.load()
    desk.log.write(desk.log.plan([chunk(b"one", 0)]), desk.descriptors)
    file = desk.disk.files[PATH]
    file.on_medium.clear()
    file.shortest = 0
    file.dirty.update(range(len(file.bytes) // desk.disk.SECTOR + 1))
    desk.start()
    assert desk.append(chunk(b"one", 0)) == 3
    for seed in range(20):
        desk.crash(seed)
        assert desk.text() == b"one"


def test_bytes_are_shown_only_after_the_commit(desk: Desk) -> None:
    desk.append(chunk(b"one", 0))
    plan = desk.log.plan([chunk(b"two", 3)])
    desk.log.write(plan, desk.descriptors)
    assert desk.text() == b"one"
    desk.log.commit(plan)
    assert desk.text() == b"onetwo"


def test_a_write_that_is_taken_back_leaves_no_trace(desk: Desk) -> None:
    desk.append(chunk(b"one", 0))
    length = len(desk.disk.files[PATH].bytes)
    desk.log.write(desk.log.plan([chunk(b"two", 3)]), desk.descriptors)
    desk.log.abandon(desk.descriptors)
    assert len(desk.disk.files[PATH].bytes) == length


def test_a_slice_begins_and_ends_within_records(desk: Desk) -> None:
    desk.append(chunk(b"abcdef", 0), chunk(b"ghijkl", 6))
    for begin in range(13):
        for limit in range(1, 14):
            read = desk.log.read(begin, limit)
            assert text_of(read) == b"abcdefghijkl"[begin : begin + limit]
            assert not read or read[0].offset == begin


def test_a_long_log_is_entered_near_the_wanted_offset(desk: Desk) -> None:
    size = 64 * 1024
    desk.append(*(chunk(bytes([at]) * size, at * size) for at in range(64)))
    for restarted in (False, True):
        if restarted:
            desk.start()
            desk.log.load()
        reads: list[int] = []
        desk.disk.watch_reads = reads
        [piece] = desk.log.read(40 * size + 5, 10)
        desk.disk.watch_reads = None
        assert text_of([piece]) == bytes([40]) * 10
        assert sum(reads) < 1024 * 1024


def test_a_log_with_long_records_is_loaded_without_reading_it(desk: Desk) -> None:
    size = 256 * 1024
    for at in range(16):
        desk.append(chunk(bytes(size), at * size))
    desk.start()
    reads: list[int] = []
    desk.disk.watch_reads = reads
    desk.log.load()
    assert desk.log.size == 16 * size
    # Only the last group is read whole.
    assert sum(reads) < size + 40 * 4096


def test_a_log_that_was_deleted_while_it_was_read_is_a_gap(desk: Desk) -> None:
    desk.append(chunk(b"one", 0))
    desk.disk.remove(PATH)
    [gap] = desk.log.read(1, 100)
    assert (gap.offset, gap.end) == (1, 3)
    assert getattr(gap, "reason", None) is GapReason.DELETED


def _with_second_record(desk: Desk) -> bytes:
    other = Desk()
    other.append(chunk(b"one", 0))
    other.append(chunk(b"two", 3))
    return bytes(other.disk.files[PATH].bytes)
