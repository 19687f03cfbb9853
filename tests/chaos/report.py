"""The table of faults, and a picture of what ran while they happened."""

from __future__ import annotations

import statistics
from collections import defaultdict
from html import escape
from typing import Final

from chaos.history import Fault, History
from chaos.verdict import Violation

_LANE: Final = 14
_LEFT: Final = 70
_WIDTH: Final = 1_500
_COLORS: Final = {
    "succeeded": "#4caf50",
    "failed": "#ff9800",
    "cancelled": "#9e9e9e",
    "lost": "#e53935",
}


def table(history: History, violations: list[Violation]) -> str:
    """Return what happened as text."""
    by_name: dict[str, list[Fault]] = defaultdict(list)
    for fault in history.faults:
        by_name[fault.name].append(fault)
    lines = [f"{'fault':44} {'times':>5}  works again after (median, longest)"]
    for name, found in sorted(by_name.items()):
        took = [one.recovered for one in found if one.recovered is not None]
        words = "never"
        if took:
            words = f"{statistics.median(took):6.1f} s {max(took):6.1f} s"
        if len(took) < len(found):
            words += f"  ({len(found) - len(took)} never)"
        lines.append(f"{name:44} {len(found):5}  {words}")
    states: dict[str, int] = defaultdict(int)
    for one in history.told:
        states[one.state] += 1
    lines.append("")
    lines.append(
        f"{len(history.faults)} faults in {(history.ended - history.began) / 60:.1f} min,"
        f" seed {history.seed}; {len(history.told)} executions:"
        f" {', '.join(f'{count} {state}' for state, count in sorted(states.items()))};"
        f" {len(history.witnessed)} witness records; {len(history.decided)} decisions"
    )
    lines += [f"did not come to pass: {one}" for one in history.misfires]
    lines.append(f"violations: {len(violations)}")
    lines += [f"  {one.invariant}: {one.sentence}" for one in violations[:50]]
    return "\n".join(lines)


def picture(history: History) -> str:
    """Return an SVG: faults as bands, executions as bars on the lines of their jobs."""
    begin, end = history.began, max(history.ended, history.began + 1)
    scale = (_WIDTH - _LEFT - 10) / (end - begin)
    targets = ["server", "w1", "w2", "w3"]
    jobs = sorted({one.job for one in history.told})
    rows = _rows(history, jobs)
    height = 40 + _LANE * (
        len(targets) + sum(len(found) for found in rows.values()) + 2
    )
    out = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}"'
            ' font-family="sans-serif" font-size="10">'
        ),
        '<rect width="100%" height="100%" fill="white"/>',
    ]

    def x(at: float) -> float:
        return _LEFT + (min(max(at, begin), end) - begin) * scale

    minute = 0
    while begin + minute * 60 < end:
        at = x(begin + minute * 60)
        out.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="18" y2="{height}" stroke="#eee"/>'
        )
        out.append(f'<text x="{at + 2:.1f}" y="12" fill="#666">{minute} min</text>')
        minute += 1
    y = 20
    for target in targets:
        out.append(f'<text x="2" y="{y + 10}">{target}</text>')
        for fault in history.faults:
            if fault.target == target:
                wide = max(2.0, x(fault.healed) - x(fault.began))
                out.append(
                    f'<rect x="{x(fault.began):.1f}" y="{y}" width="{wide:.1f}"'
                    f' height="{_LANE - 3}" fill="#5e35b1">'
                    f"<title>{escape(fault.name)}</title></rect>"
                )
        y += _LANE
    for job in jobs:
        out.append(f'<text x="2" y="{y + 10}">{escape(job)}</text>')
        for row in rows[job]:
            for start, finish, state, id_ in row:
                wide = max(1.0, x(finish) - x(start))
                color = _COLORS.get(state, "#03a9f4")
                out.append(
                    f'<rect x="{x(start):.1f}" y="{y + 2}" width="{wide:.1f}"'
                    f' height="{_LANE - 6}" fill="{color}">'
                    f"<title>{id_[:8]} {state}</title></rect>"
                )
            y += _LANE
    out.append(
        f'<text x="2" y="{y + 12}" fill="#666">violet: faults; green: succeeded;'
        " orange: failed; grey: cancelled; red: lost</text></svg>"
    )
    return "\n".join(out)


Bar = tuple[float, float, str, str]


def _rows(history: History, jobs: list[str]) -> dict[str, list[list[Bar]]]:
    """Put the bars of each job on as few lines as do not overlap, eight at most."""
    found: dict[str, list[list[Bar]]] = {}
    for job in jobs:
        bars = sorted(
            (one.started_at, one.finished_at, one.state, one.id)
            for one in history.told
            if one.job == job
            and one.started_at is not None
            and one.finished_at is not None
        )
        rows: list[list[Bar]] = [[]]
        for bar in bars:
            for row in rows:
                if not row or row[-1][1] <= bar[0]:
                    row.append(bar)
                    break
            else:
                (rows.append([bar]) if len(rows) < 8 else rows[-1].append(bar))
        found[job] = rows
    return found
