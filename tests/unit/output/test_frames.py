"""Records are read as they were written, or not at all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobs_grpc.controlplane.output import LogKey, Piece, Stream
from jobs_grpc.controlplane.output.log.frames import (
    HEADER_BYTES,
    Damage,
    Header,
    Window,
    encode,
    payload,
    piece_of,
    seed_of,
    walk,
)

SEED = seed_of(LogKey("abcd", 1))


def _pieces(parts: list[tuple[Stream, bytes]]) -> list[Piece]:
    pieces: list[Piece] = []
    offset = 0
    for stream, data in parts:
        pieces.append(
            Piece(stream=stream, offset=offset, time_us=offset + 7, data=data)
        )
        offset += len(data)
    return pieces


def _window(data: bytes, block: int = 64) -> Window:
    return Window(lambda n, at: data[at : at + n], end=len(data), block=block)


def _file(pieces: list[Piece], seed: int = SEED) -> bytes:
    return b"".join(encode(pieces, fence=3, seed=seed))


parts = st.lists(
    st.tuples(st.sampled_from(Stream), st.binary(min_size=1, max_size=300))
)


@given(parts, st.integers(1, 1000))
def test_what_is_encoded_is_read_back(
    given_parts: list[tuple[Stream, bytes]], block: int
) -> None:
    pieces = _pieces(given_parts)
    window = _window(_file(pieces), block)
    read = []
    for step in walk(window, 0, 0, SEED):
        assert isinstance(step, Header)
        assert step.fence == 3
        data = payload(window, step)
        assert data is not None
        read.append(piece_of(step, data))
    assert read == pieces


def test_back_points_to_the_beginning_of_the_group() -> None:
    pieces = _pieces([(Stream.STDOUT, b"one"), (Stream.STDERR, b"two")])
    steps = list(walk(_window(_file(pieces)), 0, 0, SEED))
    assert [s.position - s.back for s in steps if isinstance(s, Header)] == [0, 0]


def test_a_record_of_another_log_is_no_record() -> None:
    data = _file(_pieces([(Stream.STDOUT, b"hello")]), seed_of(LogKey("abcd", 2)))
    assert list(walk(_window(data), 0, 0, SEED)) == [
        Damage(position=0, offset=0, next_offset=None)
    ]


def test_the_walk_goes_on_behind_damage_wherever_blocks_end() -> None:
    pieces = _pieces([(Stream.STDOUT, bytes(n)) for n in (5, 40, 9)])
    data = bytearray(_file(pieces))
    data[HEADER_BYTES + 5 + 20] ^= 1
    for padding in range(64 * 1024 - 200, 64 * 1024 + 10, 7):
        longer = bytearray(data)
        longer[HEADER_BYTES + 5 : HEADER_BYTES + 5] = bytes(padding)
        damage = list(walk(_window(bytes(longer)), 0, 0, SEED))[1]
        assert isinstance(damage, Damage)
        assert (damage.offset, damage.next_offset) == (5, 45)


def test_a_job_that_prints_a_log_file_forges_no_record() -> None:
    forged = _file(_pieces([(Stream.STDOUT, bytes(30)), (Stream.STDOUT, b"evil")]), 0)
    pieces = _pieces([(Stream.STDOUT, b"good"), (Stream.STDOUT, forged)])
    data = bytearray(_file(pieces))
    data[HEADER_BYTES + 4 + 10] ^= 1
    steps = list(walk(_window(bytes(data)), 0, 0, SEED))
    assert steps[1:] == [Damage(position=HEADER_BYTES + 4, offset=4, next_offset=None)]


def test_a_file_that_shrank_meanwhile_ends_the_walk() -> None:
    data = _file(_pieces([(Stream.STDOUT, b"hello")]))
    window = Window(lambda n, at: data[at : at + n], end=10**12, block=64)
    steps = list(walk(window, 0, 0, SEED))
    assert steps[1:] == [Damage(position=len(data), offset=5, next_offset=None)]
