"""What a chunk may say."""

from __future__ import annotations

import pytest

from jobs_grpc.controlplane.output import (
    MAX_CHUNK_BYTES,
    Chunk,
    LogKey,
    OutputArgumentError,
    Stream,
)


@pytest.mark.parametrize(
    "execution_id",
    ["", "a", "../../etc", "..", "a/b", "a\0b", "ab\n", "é" * 4, "x" * 129],
)
def test_an_execution_id_cannot_leave_the_directory(execution_id: str) -> None:
    with pytest.raises(OutputArgumentError):
        LogKey(execution_id, 1)


@pytest.mark.parametrize("attempt", [-1, 2**31])
def test_an_attempt_is_a_small_number(attempt: int) -> None:
    with pytest.raises(OutputArgumentError):
        LogKey("abcd", attempt)


@pytest.mark.parametrize(
    ("offset", "fence", "size"),
    [
        (-1, 1, 1),
        (2**63 - 1, 1, 1),
        (0, -1, 1),
        (0, 2**63, 1),
        (0, 1, MAX_CHUNK_BYTES + 1),
    ],
)
def test_a_chunk_out_of_range_is_refused(offset: int, fence: int, size: int) -> None:
    with pytest.raises(OutputArgumentError):
        Chunk(
            key=LogKey("abcd", 1),
            fence=fence,
            stream=Stream.STDOUT,
            offset=offset,
            time_us=0,
            data=bytes(size),
        )
