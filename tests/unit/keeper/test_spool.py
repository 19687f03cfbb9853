from __future__ import annotations

import errno
import os
import random
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs_grpc.worker.keeper.spool import (
    HEADER_BYTES,
    MAX_PAYLOAD_BYTES,
    UNSAID,
    Frame,
    SpoolWriter,
    Stream,
)
from jobs_grpc.worker.keeper.spool_reader import (
    SpoolDamagedError,
    SpoolReader,
    free_before,
)

CHUNKS = st.lists(
    st.tuples(
        st.sampled_from([Stream.STDOUT, Stream.STDERR]),
        st.binary(min_size=1, max_size=40),
    ),
    min_size=1,
    max_size=8,
)
Chunks = Sequence[tuple[Stream, bytes]]


def written(
    directory: Path, chunks: Chunks, *, limit: int = 1 << 20
) -> tuple[Path, SpoolWriter]:
    writer = SpoolWriter(directory, limit)
    for index, (stream, payload) in enumerate(chunks):
        writer.write(stream, memoryview(payload), 1_000 + index)
    writer.finish(9_999)
    return directory / "spool", writer


def frames(path: Path, from_offset: int = 0) -> list[Frame]:
    reader = SpoolReader(path, from_offset)
    try:
        return list(reader)
    finally:
        reader.close()


def expected(chunks: Chunks) -> list[Frame]:
    offset, made = 0, []
    for index, (stream, payload) in enumerate(chunks):
        made.append(Frame(stream, 1_000 + index, offset, payload))
        offset += len(payload)
    return made


@given(CHUNKS)
def test_what_is_written_is_read(chunks: Chunks) -> None:
    with TemporaryDirectory() as directory:
        path, writer = written(Path(directory), chunks)
        assert frames(path) == expected(chunks)
        assert writer.size == sum(len(payload) for _, payload in chunks)


@given(CHUNKS, st.data())
def test_reading_begins_at_any_offset(chunks: Chunks, data: st.DataObject) -> None:
    whole = b"".join(payload for _, payload in chunks)
    start = data.draw(st.integers(0, len(whole)))
    with TemporaryDirectory() as directory:
        path, _ = written(Path(directory), chunks)
        found = frames(path, start)
    assert b"".join(frame.payload for frame in found) == whole[start:]
    assert [frame.offset for frame in found[:1]] in ([start], [])


@given(CHUNKS, st.data())
def test_a_torn_tail_ends_the_reading_without_an_error(
    chunks: Chunks, data: st.DataObject
) -> None:
    with TemporaryDirectory() as directory:
        path, _ = written(Path(directory), chunks)
        size = path.stat().st_size
        cut = data.draw(st.integers(0, size))
        os.truncate(path, cut)
        found = frames(path)
        position, whole = 0, 0
        for _, payload in chunks:
            position += HEADER_BYTES + len(payload)
            whole += position <= cut
        assert found == expected(chunks)[:whole]


@given(CHUNKS, st.data())
def test_a_flipped_bit_is_never_believed(chunks: Chunks, data: st.DataObject) -> None:
    with TemporaryDirectory() as directory:
        path, _ = written(Path(directory), chunks)
        content = bytearray(path.read_bytes())
        bit = data.draw(st.integers(0, len(content) * 8 - 1))
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        reader = SpoolReader(path)
        found: list[Frame] = []
        with pytest.raises(SpoolDamagedError) as damage:
            found.extend(reader)
        good = expected(chunks)
        # What came before the damage was read, and the error says how far.
        before = [frame for frame in good if frame.end <= damage.value.offset]
        assert found == [] or found == before
        # What comes after can still be read.
        assert reader.skip_damage() == (len(before) + 1 < len(good))
        rest = list(reader) if len(before) + 1 < len(good) else []
        assert rest == good[len(before) + 1 :]
        reader.close()


@given(CHUNKS, st.integers(1, 5_000))
def test_zeros_at_the_end_are_a_torn_tail(chunks: Chunks, zeros: int) -> None:
    with TemporaryDirectory() as directory:
        path, _ = written(Path(directory), chunks)
        with path.open("ab") as file:
            file.write(bytes(zeros))
        assert frames(path) == expected(chunks)


@given(CHUNKS, st.integers(0, 200))
def test_the_limit_keeps_the_first_and_the_last_bytes_and_counts_the_rest(
    chunks: Chunks, limit: int
) -> None:
    whole = b"".join(payload for _, payload in chunks)
    head = limit // 2
    with TemporaryDirectory() as directory:
        path, writer = written(Path(directory), chunks, limit=limit)
        found = frames(path)
    said = [frame.payload for frame in found if frame.stream is Stream.SYSTEM]
    dropped = max(0, len(whole) - limit)
    assert writer.dropped == dropped
    text = (
        f"[output limit of {limit} bytes reached; {dropped} bytes dropped"
        f" after the first {head}]\n"
    ).encode()
    assert said == ([text] if dropped else [])
    assert writer.size == len(whole) + sum(map(len, said))
    kept = {frame.offset: frame for frame in found if frame.stream is not Stream.SYSTEM}
    for offset, frame in kept.items():
        assert frame.payload == whole[offset : frame.end], "offsets count what is gone"
    covered = {at for frame in kept.values() for at in range(frame.offset, frame.end)}
    assert covered >= set(range(min(head, len(whole))))
    assert covered >= set(range(max(0, len(whole) - (limit - head)), len(whole)))


def test_a_flood_takes_its_limit_of_disk_and_one_segment(tmp_path: Path) -> None:
    limit, block = 8 << 20, random.Random(1).randbytes(65_536)
    writer = SpoolWriter(tmp_path, limit)
    most = 0
    for _ in range(1_000):
        writer.write(Stream.STDOUT, memoryview(block), 1)
        most = max(most, sum(one.stat().st_size for one in tmp_path.iterdir()))
    writer.finish(2)
    assert most <= limit + (limit // 8) + (1 << 20)
    found = frames(tmp_path / "spool")
    whole = block * 1_000
    assert (
        b"".join(one.payload for one in found if one.end <= 1 << 20) == whole[: 1 << 20]
    )
    tail = b"".join(
        one.payload
        for one in found
        if one.offset >= 1 << 20 and one.stream is Stream.STDOUT
    )
    assert len(tail) >= limit - (1 << 20)
    assert whole.endswith(tail)
    assert writer.dropped == len(whole) - limit


def test_a_reader_says_which_offsets_are_gone(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, 64 << 20)
    block = random.Random(2).randbytes(1 << 20)
    for _ in range(20):
        writer.write(Stream.STDERR, memoryview(block), 1)
    reader = SpoolReader(tmp_path / "spool")
    free_before(tmp_path / "spool", 12 << 20)
    found = [frame for frame in reader if frame.payload]
    assert reader.holes == [range(1 << 20, 9 << 20)]
    assert [one.offset for one in found][4] == 9 << 20
    assert b"".join(one.payload for one in found) == block * 12
    reader.close()
    again = SpoolReader(tmp_path / "spool", (15 << 20) + 7)
    assert b"".join(one.payload for one in again) == (block * 20)[(15 << 20) + 7 :]
    assert again.holes == []
    again.close()


def test_a_reader_does_not_leave_a_file_that_still_grew(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, 400)
    reader = SpoolReader(tmp_path / "spool")
    seen = b""
    for n in range(200):
        writer.write(Stream.STDOUT, memoryview(b"%06d" % n), 1)
        seen += b"".join(frame.payload for frame in reader)
    assert seen == b"".join(b"%06d" % n for n in range(200))
    assert reader.holes == []
    reader.close()


def test_a_reader_follows_a_writer(tmp_path: Path) -> None:
    reader = SpoolReader(tmp_path / "spool")
    assert reader.read() == []
    writer = SpoolWriter(tmp_path, 100)
    for word in (b"one", b"two", b"three"):
        writer.write(Stream.STDOUT, memoryview(word), 1)
        assert [frame.payload for frame in reader.read()] == [word]
        assert reader.read() == []
    assert reader.offset == writer.size
    writer.finish(2)
    reader.close()


def test_a_read_returns_about_what_was_asked_for(tmp_path: Path) -> None:
    path, _ = written(tmp_path, [(Stream.STDOUT, bytes(100))] * 10)
    reader = SpoolReader(path)
    assert len(reader.read(250)) == 3
    assert len(reader.read(250)) == 3
    assert len(reader.read(10_000)) == 4
    reader.close()


def test_a_payload_longer_than_a_frame_is_divided(tmp_path: Path) -> None:
    payload = os.urandom(MAX_PAYLOAD_BYTES * 2 + 7)
    path, _ = written(tmp_path, [(Stream.STDERR, payload)])
    found = frames(path)
    assert [len(frame.payload) for frame in found] == [
        MAX_PAYLOAD_BYTES,
        MAX_PAYLOAD_BYTES,
        7,
    ]
    assert b"".join(frame.payload for frame in found) == payload


def test_an_attempt_without_output_has_no_file(tmp_path: Path) -> None:
    path, _ = written(tmp_path / "attempt", [])
    assert not path.exists()


def test_a_full_disk_loses_output_visibly_and_only_while_it_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = SpoolWriter(tmp_path, 1_000)
    writer.write(Stream.STDOUT, memoryview(b"before"), 1)

    real = os.pwrite

    def write_half(descriptor: int, parts: Sequence[bytes], position: int) -> int:
        half = b"".join(map(bytes, parts))[:20]
        return real(descriptor, half, position)

    with monkeypatch.context() as full:
        full.setattr(os, "pwritev", write_half)
        full.setattr(os, "pwrite", refuse)
        writer.write(Stream.STDOUT, memoryview(b"lost"), 2)
        full.setattr(os, "pwritev", refuse)
        writer.write(Stream.STDERR, memoryview(b"lost too"), 3)
    writer.write(Stream.STDOUT, memoryview(b"after"), 4)
    writer.finish(5)
    assert [(frame.stream, frame.payload) for frame in frames(tmp_path / "spool")] == [
        (Stream.STDOUT, b"before"),
        (Stream.SYSTEM, b"[12 bytes of output lost: No space left on device]\n"),
        (Stream.STDOUT, b"after"),
    ]
    assert writer.dropped == 12


def refuse(*_: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_disk_that_stays_full_leaves_a_hole_for_the_remark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = SpoolWriter(tmp_path, 1_000)
    monkeypatch.setattr(os, "pwritev", refuse)
    writer.write(Stream.STDOUT, memoryview(b"short done\n"), 1)
    writer.finish(2)
    assert (writer.dropped, writer.size) == (11, len(UNSAID))


def test_a_full_disk_gets_one_remark_however_often_a_little_of_it_is_freed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = SpoolWriter(tmp_path / "attempt", 1 << 20)
    block = memoryview(bytes(8_192))
    writer.write(Stream.STDOUT, block, 1)
    real = os.pwritev

    def write_little(descriptor: int, parts: Sequence[bytes], position: int) -> int:
        if len(parts[1]) > 1_000:
            refuse()
        return real(descriptor, parts, position)

    with monkeypatch.context() as full:
        full.setattr(os, "pwritev", write_little)
        little = os.statvfs_result((4096, 4096, 1000, 2, 2, 0, 0, 0, 0, 255))
        full.setattr(os, "statvfs", lambda _: little)
        for _ in range(10):
            writer.write(Stream.STDOUT, block, 2)
    writer.write(Stream.STDOUT, block, 3)
    writer.finish(4)
    said = [
        frame.payload
        for frame in frames(tmp_path / "attempt" / "spool")
        if frame.stream is Stream.SYSTEM
    ]
    assert said == [b"[81920 bytes of output lost: No space left on device]\n"]
