"""Rows of the benchmark's table, and how they are kept."""

from __future__ import annotations

import json
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[2] / "bench-results"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One goal: what was measured, what beside it, and whether it was met."""

    id: str
    goal: str
    measured: str
    ratio: str = ""
    met: bool
    note: str = ""
    # Everything the row was computed from, round by round.
    rounds: list[dict[str, float]] = field(default_factory=list)


def middle(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` of the values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def spread(values: Sequence[float], form: str = "{:,.0f}") -> str:
    """Return "median (least to most)"."""
    low, mid, high = (
        form.format(v) for v in (min(values), middle(values), max(values))
    )
    return f"{mid} ({low} to {high})"


def keep(rows: Sequence[Row]) -> Path:
    """Write the rows as JSON and return where."""
    RESULTS.mkdir(exist_ok=True)
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    path = RESULTS / f"{now}.json"
    machine = {"python": platform.python_version(), "kernel": platform.release()}
    path.write_text(
        json.dumps(
            {"machine": machine, "rows": [asdict(row) for row in rows]}, indent=1
        )
    )
    return path


def show(rows: Sequence[Row]) -> str:
    """Return the table as text."""
    head = ("goal", "bar", "measured", "ratio", "met")
    cells = [head]
    cells += [
        (row.id, row.goal, row.measured, row.ratio, "yes" if row.met else "NO")
        for row in rows
    ]
    widths = [max(len(line[i]) for line in cells) for i in range(len(head))]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True))
        for line in cells
    ]
    lines += [f"{row.id}: {row.note}" for row in rows if row.note]
    return "\n".join(line.rstrip() for line in lines)
