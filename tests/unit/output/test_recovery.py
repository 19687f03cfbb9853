"""The end of a log is found again, whatever became of its file."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs_grpc.controlplane.output import Gap, Piece, Stream
from jobs_grpc.controlplane.output.log.attempt import AttemptLog
from jobs_grpc.controlplane.output.log.descriptors import Descriptors
from jobs_grpc.controlplane.output.log.disk import Disk
from jobs_grpc.controlplane.output.log.frames import HEADER_BYTES
from unit.output.stand import FENCE, KEY, chunk

SOURCE = bytes(range(1, 61))
# Three groups; the last one has three records.
GROUPS = ((10, 5), (12,), (8, 11, 14))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / KEY.file_name


@pytest.fixture
def whole(path: Path) -> bytes:
    """The file of a log that was written in three groups."""
    log = AttemptLog(KEY, path, Disk())
    descriptors = Descriptors(Disk(), limit=1)
    offset = 0
    for group in GROUPS:
        chunks = []
        for size in group:
            stream = Stream(1 + offset % 3)
            chunks.append(chunk(SOURCE[offset : offset + size], offset, stream=stream))
            offset += size
        plan = log.plan(chunks)
        log.write(plan, descriptors)
        log.commit(plan)
    descriptors.close()
    return path.read_bytes()


def _reopened(path: Path, data: bytes) -> AttemptLog:
    path.write_bytes(data)
    log = AttemptLog(KEY, path, Disk())
    log.load()
    return log


def _check(log: AttemptLog) -> int:
    """Assert that nothing wrong is shown; return how many bytes are shown."""
    position = shown = 0
    for content in log.read(0, 1_000):
        assert content.offset == position
        position = content.end
        if isinstance(content, Piece):
            assert content.data == SOURCE[content.offset : content.end]
            assert content.stream == Stream(1 + content.offset % 3)
            assert content.time_us == 1_700_000_000_000_000
            shown += len(content.data)
    assert position == log.size
    return shown


def test_a_whole_file_is_taken_as_it_is(path: Path, whole: bytes) -> None:
    log = _reopened(path, whole)
    assert log.size == _check(log) == len(SOURCE)
    assert path.read_bytes() == whole


def test_a_file_cut_anywhere_ends_with_its_last_whole_record(
    path: Path, whole: bytes
) -> None:
    ends = [(0, 0)]
    for size in (size for group in GROUPS for size in group):
        position, offset = ends[-1]
        ends.append((position + HEADER_BYTES + size, offset + size))
    for length in range(len(whole)):
        log = _reopened(path, whole[:length])
        expected = max(offset for position, offset in ends if position <= length)
        assert log.size == _check(log) == expected


@pytest.mark.parametrize("filler", [b"\0", b"\xff", b"\xf5JO1"])
def test_a_tail_of_anything_is_cut_off_and_written_anew(
    path: Path, whole: bytes, filler: bytes
) -> None:
    log = _reopened(path, whole + filler * 100)
    assert log.size == len(SOURCE)
    descriptors = Descriptors(Disk(), limit=1)
    plan = log.plan([chunk(b"more", len(SOURCE))])
    log.write(plan, descriptors)
    log.commit(plan)
    descriptors.close()
    assert path.read_bytes()[: len(whole)] == whole
    assert len(path.read_bytes()) == len(whole) + HEADER_BYTES + 4


@pytest.mark.parametrize("bit", [0, 7])
def test_a_flipped_bit_anywhere_is_never_shown(
    path: Path, whole: bytes, bit: int
) -> None:
    last_group = sum(HEADER_BYTES + size for size in (*GROUPS[0], *GROUPS[1]))
    for at in range(len(whole)):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << bit
        log = _reopened(path, bytes(flipped))
        assert _check(log) < len(SOURCE)
        if at < last_group:
            # Acknowledged long ago: nothing behind the damage may be thrown away.
            assert log.size == len(SOURCE)
            [gap] = [c for c in log.read(0, 1_000) if isinstance(c, Gap)]
            assert gap.length in {5, 10, 12}


def test_the_log_goes_on_behind_damage(path: Path, whole: bytes) -> None:
    flipped = bytearray(whole)
    flipped[HEADER_BYTES + 3] ^= 1
    log = _reopened(path, bytes(flipped))
    descriptors = Descriptors(Disk(), limit=1)
    plan = log.plan([chunk(b"more", len(SOURCE))])
    log.write(plan, descriptors)
    log.commit(plan)
    descriptors.close()
    contents = AttemptLog(KEY, path, Disk()).read(0, 1_000)
    assert isinstance(contents[0], Gap)
    assert isinstance(contents[-1], Piece)
    assert contents[-1].data == b"more"


def test_a_torn_record_hides_the_whole_ones_behind_it(path: Path, whole: bytes) -> None:
    """Pages reach the medium in any order; what was not acknowledged is sent again."""
    begin = sum(HEADER_BYTES + size for size in (*GROUPS[0], *GROUPS[1]))
    torn = bytearray(whole)
    torn[begin : begin + HEADER_BYTES] = bytes(HEADER_BYTES)
    log = _reopened(path, bytes(torn))
    assert log.size == _check(log) == 27


def test_the_fence_is_found_again(path: Path, whole: bytes) -> None:
    log = _reopened(path, whole)
    [ack] = log.plan([chunk(b"x", len(SOURCE), fence=FENCE + 1)]).acks
    assert ack.refused


def test_a_file_of_another_log_is_empty(path: Path, whole: bytes) -> None:
    other = path.with_name("other-1.log")
    other.write_bytes(whole)
    log = AttemptLog(type(KEY)("other", 1), other, Disk())
    assert log.read(0, 100) == []
