"""The outcome for a terminal: totals, a line and a lane for each job, what to look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final
from zoneinfo import ZoneInfo

from jobs_grpc.schedule import format_duration

from .axis import local, ticks
from .lanes import Lane, lanes
from .outcome import Outcome, Row, counted, short_name

_CELLS: Final = 72
# Lanes that are shown unless all are asked for: those that were busy longest.
_LANES: Final = 40
_NAMED: Final = 20
_RUNNING, _WAITING, _SKIPPED, _NOTHING = "█", "▒", "x", "·"


def render(outcome: Outcome, zone: ZoneInfo, *, show_all: bool = False) -> str:
    """Return the whole report."""
    parts = [
        "\n".join(_head(outcome, zone)),
        "\n".join(_table(outcome, show_all=show_all)),
        "\n".join(_timeline(outcome, zone, show_all=show_all)),
        "\n".join(_collisions(outcome, zone, show_all=show_all)),
        "\n".join(_busiest(outcome, zone)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(outcome: Outcome, zone: ZoneInfo) -> Iterator[str]:
    load = outcome.load()
    used = max((one[1] for one in load), default=0)
    waiting = max((one[2] for one in load), default=0)
    started = len(outcome.executions)
    yield (
        f"{_clock(outcome.start, zone)} to {_clock(outcome.end, zone)} {zone.key},"
        f" {counted(len(outcome.queue_of), 'job')}, {counted(outcome.slots, 'slot')}"
    )
    yield (
        f"{counted(started + len(outcome.skipped), 'due time')}: {started} to run,"
        f" {len(outcome.skipped)} skipped; {counted(len(outcome.collisions), 'collision')}"
    )
    slots = counted(outcome.slots, "slot")
    yield f"at most {used} of {slots} in use, {waiting} waiting at once"
    if outcome.stopped_at is not None:
        yield (
            f"STOPPED at {_clock(outcome.stopped_at, zone)}: there are more due times than"
            " the limit; raise --limit, or choose a shorter range"
        )


def _table(outcome: Outcome, *, show_all: bool) -> Iterator[str]:
    rows = [
        ("QUEUE", "DUE", "STARTED", "SKIPPED", "WAITED", "LONGEST WAIT", "BUSY"),
        *(_cells(row) for row in outcome.queues()),
    ]
    yield from _aligned(rows)
    yield ""
    jobs = outcome.jobs()
    shown = jobs if show_all else _busy(jobs)
    rows = [
        ("JOB", "DUE", "STARTED", "SKIPPED", "WAITED", "LONGEST WAIT", "BUSY"),
        *(_cells(row) for row in shown),
    ]
    yield from _aligned(rows)
    if len(shown) < len(jobs):
        yield f"... and {len(jobs) - len(shown)} more (--all shows them)"


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.name,
        str(row.due),
        str(row.started),
        str(row.skipped),
        str(row.waited),
        _length(row.longest_wait),
        _length(row.busy),
    )


def _busy(rows: Sequence[Row]) -> list[Row]:
    longest = sorted(rows, key=lambda row: -(row.busy + row.total_wait))[:_LANES]
    names = {row.name for row in longest}
    return [row for row in rows if row.name in names]


def _timeline(outcome: Outcome, zone: ZoneInfo, *, show_all: bool) -> Iterator[str]:
    all_lanes = lanes(outcome)
    if not show_all:
        names = {row.name for row in _busy([lane.row for lane in all_lanes])}
        all_lanes = [lane for lane in all_lanes if lane.row.name in names]
    if not all_lanes:
        return
    span = outcome.end - outcome.start
    yield (
        f"TIMELINE   one column is {_length(span // _CELLS)};"
        f" {_RUNNING} running, {_WAITING} waiting, {_SKIPPED} skipped"
    )
    width = max(len(lane.row.name) for lane in all_lanes)
    scale = [" "] * (_CELLS + 10)
    for at, label in ticks(outcome.start, outcome.end, zone, 9):
        cell = (at - outcome.start) * _CELLS // span
        scale[cell : cell + len(label)] = label
    yield " " * (width + 2) + "".join(scale).rstrip()
    for lane in all_lanes:
        yield f"{lane.row.name.ljust(width)}  {_lane(lane, outcome)}"


def _lane(lane: Lane, outcome: Outcome) -> str:
    cells = [_NOTHING] * _CELLS
    span = outcome.end - outcome.start

    def cell(at: int) -> int:
        return min(_CELLS - 1, max(0, (at - outcome.start) * _CELLS // span))

    for mark, spans in ((_WAITING, lane.waiting), (_RUNNING, lane.running)):
        for start, end in spans:
            for index in range(cell(start), cell(max(start, end - 1)) + 1):
                cells[index] = mark
    for at in lane.skipped:
        cells[cell(at)] = _SKIPPED
    return "".join(cells)


def _collisions(outcome: Outcome, zone: ZoneInfo, *, show_all: bool) -> Iterator[str]:
    if not outcome.collisions:
        return
    yield "COLLISIONS   due while an earlier execution of the job was not over"
    shown = outcome.collisions if show_all else outcome.collisions[:_NAMED]
    rows = [
        (_clock(one.due_at, zone), short_name(one.key), one.outcome) for one in shown
    ]
    yield from _aligned(rows)
    if len(shown) < len(outcome.collisions):
        yield f"... and {len(outcome.collisions) - len(shown)} more (--all shows them)"


def _busiest(outcome: Outcome, zone: ZoneInfo) -> Iterator[str]:
    busiest = outcome.busiest()
    if not busiest:
        return
    yield "BUSIEST   instants at which most is due at once"
    yield from _aligned([(_clock(at, zone), f"{count} due") for at, count in busiest])


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _clock(at: int, zone: ZoneInfo) -> str:
    moment = local(at, zone)
    return (
        f"{moment:%Y-%m-%d %H:%M:%S}" if moment.second else f"{moment:%Y-%m-%d %H:%M}"
    )


def _length(length: int) -> str:
    return format_duration(length - length % 1_000_000) if length else "-"
