"""What people read: times, tables, output, endings."""

from __future__ import annotations

import io
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobs_grpc.client import (
    Execution,
    ExecutionState,
    Gap,
    OutputEnd,
    OutputPiece,
    OutputStream,
    Trigger,
)
from jobs_grpc.client.cli import exits
from jobs_grpc.client.cli.display.following import OutputPrinter, ending_text, size_text
from jobs_grpc.client.cli.display.moments import (
    clock_text,
    duration_text,
    relative_text,
)
from jobs_grpc.client.cli.display.table import Column, print_table
from jobs_grpc.client.cli.naming import could_be_id

NOON = datetime(2027, 1, 15, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "now"),
        (-59, "59s ago"),
        (-180, "3m ago"),
        (7300, "in 2h"),
        (-200_000, "2d ago"),
    ],
)
def test_distances_use_the_largest_unit(seconds: float, text: str) -> None:
    assert relative_text(NOON + timedelta(seconds=seconds), NOON) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.35, "350ms"), (2.14, "2.1s"), (65, "1m05s"), (7_380, "2h03m")],
)
def test_durations_have_two_units_at_most(seconds: float, text: str) -> None:
    assert duration_text(timedelta(seconds=seconds)) == text


def test_clock_times_have_no_zone_and_are_utc() -> None:
    assert clock_text(NOON) == "2027-01-15 12:00:00"
    assert clock_text(None, "Never") == "Never"


def test_columns_line_up_and_the_last_one_is_not_padded(
    capsys: pytest.CaptureFixture[str],
) -> None:
    columns = [
        Column[str]("NAME", lambda one: one),
        Column[str]("ID", lambda one: one * 2, only_wide=True),
        Column[str]("TEXT", lambda one: "two\nlines" if one == "a" else ""),
    ]
    print_table(columns, ["a", "long"], wide=False)
    assert capsys.readouterr().out == "NAME   TEXT\na      two lines\nlong   -\n"
    print_table(columns, ["a"], wide=True)
    assert capsys.readouterr().out == "NAME   ID   TEXT\na      aa   two lines\n"


@pytest.mark.parametrize(
    ("word", "could_be"),
    [("0b5c", True), ("0b5c3f0e-8a3c", True), ("backup", False), ("0b5", False)],
)
def test_only_words_like_ids_are_taken_for_ids(word: str, could_be: bool) -> None:
    assert could_be_id(word) is could_be


def test_sizes_are_rounded_for_people() -> None:
    assert size_text(999) == "999 bytes"
    assert size_text(1_234_567) == "1.2 MB"
    assert size_text(5_000_000_000) == "5.0 GB"


def ended(state: ExecutionState, **fields: Any) -> Execution:
    return Execution(
        id="0b5c", namespace="d", workspace="w", job="j", state=state,
        trigger=Trigger.API, **fields,
    )  # fmt: skip


def test_an_ending_says_state_time_and_reason() -> None:
    failed = ended(
        ExecutionState.FAILED,
        started_at=NOON,
        finished_at=NOON + timedelta(seconds=3),
        error="exit status 3",
    )
    assert ending_text(failed) == "failed after 3.0s: exit status 3"
    assert ending_text(ended(ExecutionState.SKIPPED)) == "skipped"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"exit_code": 7}, 7),
        ({"signal": "KILL"}, 137),
        ({"signal": "NONSENSE"}, 20),
        ({}, 20),
    ],
)
def test_a_job_s_own_code_is_passed_through(fields: dict[str, Any], code: int) -> None:
    failed = ended(ExecutionState.FAILED, **fields)
    assert exits.of_execution(failed, pass_through=True) == code
    assert exits.of_execution(failed) == 20


def test_only_failures_pass_their_code_through() -> None:
    late = ended(ExecutionState.TIMED_OUT, exit_code=7)
    assert exits.of_execution(late, pass_through=True) == 21


async def test_output_is_written_byte_for_byte_each_stream_to_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, err = capture(monkeypatch)
    printer = OutputPrinter()
    end = await printer.print(
        events(
            piece(0, b"\xff\x00out"),
            piece(5, b"err\n", OutputStream.STDERR),
            Gap(offset=9, length=2000, reason="limit"),
            OutputEnd(
                execution=ended(ExecutionState.FAILED),
                next_offset=2009,
                log_complete=True,
            ),
        )
    )
    assert end is not None
    assert out() == b"\xff\x00out"
    assert err() == b"err\n... 2.0 kB missing (limit) ...\n"
    assert printer.next_offset == 2009


async def test_timestamps_stand_before_lines_not_before_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, _ = capture(monkeypatch)
    printer = OutputPrinter(only=OutputStream.STDERR, timestamps=True)
    await printer.print(
        events(
            piece(0, b"one\ntw", OutputStream.STDERR),
            piece(6, b"o\nthree\n", OutputStream.STDERR),
        )
    )
    stamp = b"2027-01-15T12:00:00.000Z "
    assert out() == b"".join(stamp + line for line in (b"one\n", b"two\n", b"three\n"))


def piece(
    offset: int, data: bytes, stream: OutputStream = OutputStream.STDOUT
) -> OutputPiece:
    return OutputPiece(stream=stream, offset=offset, data=data, time=NOON)


async def events(*all_of_them: Any) -> AsyncIterator[Any]:
    for event in all_of_them:
        yield event


def capture(monkeypatch: pytest.MonkeyPatch) -> Any:
    streams = []
    for name in ("stdout", "stderr"):
        kept = io.BytesIO()
        stream = io.TextIOWrapper(kept, write_through=True)
        monkeypatch.setattr(sys, name, stream)
        streams.append((kept, stream))
    # The wrapper closes its buffer when it is collected, so both are held here.
    return [
        lambda kept=kept, stream=stream: kept.getvalue() for kept, stream in streams
    ]
