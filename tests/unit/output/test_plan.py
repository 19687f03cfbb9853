"""Which bytes of a group continue a log."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobs_grpc.controlplane.output import Ack, Chunk, Piece
from jobs_grpc.controlplane.output.log.frames import HEADER_BYTES
from jobs_grpc.controlplane.output.log.plan import Plan, plan_group
from jobs_grpc.controlplane.output.log.recovery import Place
from unit.output.stand import FENCE, KEY, chunk

SOURCE = bytes(range(200))


def _plan(*chunks: Chunk, stored: int = 0, fence: int | None = None) -> Plan:
    return plan_group(KEY, chunks, fence=fence, tail=Place(1_000, stored))


def _stored(plan: Plan) -> bytes:
    return b"".join(one.data for one in plan.pieces if isinstance(one, Piece))


def _ack(offset: int, *, fence: int = FENCE, refused: bool = False) -> Ack:
    return Ack(key=KEY, fence=fence, offset=offset, refused=refused)


def test_chunks_in_order_are_stored_and_answered_once() -> None:
    plan = _plan(chunk(b"ab", 0), chunk(b"cd", 2))
    assert _stored(plan) == b"abcd"
    assert plan.acks == (_ack(4),)
    assert plan.end == Place(1_000 + 2 * HEADER_BYTES + 4, 4)


def test_a_duplicate_is_dropped_and_answered_with_the_end() -> None:
    plan = _plan(chunk(b"ab", 0), stored=6, fence=FENCE)
    assert plan.pieces == ()
    assert plan.acks == (_ack(6),)


def test_what_overlaps_is_trimmed() -> None:
    plan = _plan(chunk(SOURCE[2:9], 2), stored=6, fence=FENCE)
    assert _stored(plan) == SOURCE[6:9]
    assert plan.pieces[0].offset == 6


def test_what_begins_later_is_not_stored_and_the_sender_hears_from_where() -> None:
    plan = _plan(chunk(b"ab", 7), stored=6, fence=FENCE)
    assert plan.pieces == ()
    assert plan.acks == (_ack(6),)


def test_a_chunk_without_data_asks_how_far_the_log_has_come() -> None:
    plan = _plan(chunk(b"", 0), stored=6, fence=FENCE)
    assert plan.pieces == ()
    assert plan.acks == (_ack(6),)


def test_another_fence_is_refused_whatever_it_sends() -> None:
    for stranger in (FENCE - 1, FENCE + 1):
        plan = _plan(chunk(b"ab", 6, fence=stranger), stored=6, fence=FENCE)
        assert plan.pieces == ()
        assert plan.acks == (_ack(0, fence=stranger, refused=True),)


def test_the_highest_fence_becomes_the_owner_of_an_empty_log() -> None:
    plan = _plan(chunk(b"old", 0), chunk(b"new", 0, fence=FENCE + 1))
    assert _stored(plan) == b"new"
    assert plan.fence == FENCE + 1
    assert set(plan.acks) == {_ack(0, refused=True), _ack(3, fence=FENCE + 1)}


spans = st.lists(
    st.tuples(st.integers(0, len(SOURCE)), st.integers(0, 40)), min_size=1, max_size=30
)


@given(spans, st.integers(0, len(SOURCE)))
def test_what_is_stored_is_the_source_without_hole_or_repetition(
    given_spans: list[tuple[int, int]], stored: int
) -> None:
    chunks = [chunk(SOURCE[at : at + size], at) for at, size in given_spans]
    plan = _plan(*chunks, stored=stored, fence=FENCE)
    assert _stored(plan) == SOURCE[stored : plan.end.offset]
    assert plan.acks == (_ack(plan.end.offset),)
