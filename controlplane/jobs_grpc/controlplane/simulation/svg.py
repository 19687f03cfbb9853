"""The outcome as a picture: the load of the fleet, and a row for each job below it.

One path a row and kind, so that a day of ten thousand executions stays a small file. What
is narrower than a pixel is drawn as one, and what is nearer than half a pixel is drawn
together; the numbers beside a row are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

from jobs_grpc.schedule import format_duration

from .axis import local, ticks
from .lanes import Lane, Span, lanes, merged
from .outcome import Outcome, counted

_WIDTH: Final = 1_440
_LEFT: Final = 250
_RIGHT: Final = 120
_CHART: Final = _WIDTH - _LEFT - _RIGHT
_HEAD: Final = 64
_LOAD: Final = 120
_ROW: Final = 16
_BAR: Final = 10
_QUEUE: Final = 26
# The hours are said again after so many rows, for a long picture is seen in parts.
_ROWS_TO_AXIS: Final = 40
_AXIS: Final = 24
_FONT: Final = "font-family: system-ui, 'DejaVu Sans', sans-serif"
_STYLE: Final = f"""
text {{ {_FONT}; font-size: 11px; fill: #24292f }}
.title {{ font-size: 16px; font-weight: 600 }}
.quiet {{ fill: #57606a }}
.number {{ font-size: 10px; fill: #57606a }}
.queue {{ font-size: 12px; font-weight: 600 }}
.grid {{ stroke: #d8dee4; stroke-width: 1 }}
.stripe {{ fill: #f6f8fa }}
.run {{ fill: #0969da }}
.wait {{ fill: #f0a33a }}
.skip {{ stroke: #cf222e; stroke-width: 1.6; fill: none }}
.halo {{ stroke: white; stroke-width: 3.4; fill: none }}
.slots {{ stroke: #cf222e; stroke-width: 1; stroke-dasharray: 4 3 }}
"""


def render(outcome: Outcome, zone: ZoneInfo) -> str:
    """Return the SVG document."""
    return _Picture(outcome, zone).render()


class _Picture:
    def __init__(self, outcome: Outcome, zone: ZoneInfo) -> None:
        self._outcome = outcome
        self._zone = zone
        self._ticks = ticks(outcome.start, outcome.end, zone, 16)

    def render(self) -> str:
        body = [*self._head(), *self._load_chart()]
        y = _HEAD + _LOAD + 18
        queue, count = None, 0
        for lane in lanes(self._outcome):
            if lane.row.queue != queue:
                queue, count = lane.row.queue, 0
                y += _QUEUE
                body.append(_text(12, y - 8, f"queue {queue}", "queue"))
                body += self._axis(y - 8)
            elif count and count % _ROWS_TO_AXIS == 0:
                y += _AXIS
                body += self._axis(y - 8)
            body += self._lane(lane, y, is_striped=count % 2 == 1)
            count += 1
            y += _ROW
        height = y + 16
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}"'
            f' height="{height}" viewBox="0 0 {_WIDTH} {height}">\n'
            f"<style>{_STYLE}</style>\n"
            f'<rect width="{_WIDTH}" height="{height}" fill="white"/>\n'
            f"{self._grid(height)}\n" + "\n".join(body) + "\n</svg>\n"
        )

    def _x(self, at: int) -> float:
        start, end = self._outcome.start, self._outcome.end
        return _LEFT + (min(max(at, start), end) - start) * _CHART / (end - start)

    def _head(self) -> Iterator[str]:
        outcome, zone = self._outcome, self._zone
        start, end = local(outcome.start, zone), local(outcome.end, zone)
        yield _text(
            12, 26, f"{start:%a %Y-%m-%d %H:%M} to {end:%a %Y-%m-%d %H:%M}", "title"
        )
        said = (
            f"{zone.key}; {counted(len(outcome.queue_of), 'job')},"
            f" {counted(outcome.slots, 'slot')},"
            f" {counted(len(outcome.executions), 'execution')},"
            f" {len(outcome.skipped)} skipped,"
            f" {counted(len(outcome.collisions), 'collision')}"
        )
        if outcome.stopped_at is not None:
            said += f"; stopped at {local(outcome.stopped_at, zone):%Y-%m-%d %H:%M}"
        yield _text(12, 46, said, "quiet")
        x = _WIDTH - 330
        yield f'<rect class="run" x="{x}" y="17" width="22" height="{_BAR}"/>'
        yield _text(x + 28, 26, "running")
        yield f'<rect class="wait" x="{x + 90}" y="17" width="22" height="{_BAR}"/>'
        yield _text(x + 118, 26, "waiting")
        yield f'<path class="skip" d="{_cross(x + 190, 22)}"/>'
        yield _text(x + 202, 26, "skipped")

    def _grid(self, height: int) -> str:
        lines = "".join(
            f"M{self._x(at):.1f} {_HEAD}V{height - 8}" for at, _ in self._ticks
        )
        return f'<path class="grid" d="{lines}"/>'

    def _axis(self, y: int) -> Iterator[str]:
        for at, label in self._ticks:
            yield _text(self._x(at) + 3, y, label, "number")

    def _load_chart(self) -> Iterator[str]:
        """Draw the slots in use, and above them what waits.

        A long line would press the slots into nothing: they keep a third of the height,
        and what waits above them is then drawn to a scale of its own.
        """
        outcome = self._outcome
        load = outcome.load()
        slots = outcome.slots
        highest = max([slots, *(used + waits for _, used, waits in load)])
        base = _HEAD + _LOAD
        full = _LOAD - 18
        knee = max(full * slots / highest, full / 3)

        def top(value: int) -> float:
            if value <= slots:
                return base - value * knee / slots
            return base - knee - (value - slots) * (full - knee) / (highest - slots)

        yield from self._axis(_HEAD + 10)
        yield _text(12, _HEAD + 30, "slots in use", "queue")
        yield _text(12, _HEAD + 46, "and executions waiting", "quiet")
        if slots * 3 < highest:
            yield _text(12, _HEAD + 62, "(above the slots to another scale)", "quiet")
        both = [(at, used + waits) for at, used, waits in load]
        yield f'<path class="wait" d="{self._area(both, base, top)}"/>'
        only = [(at, used) for at, used, _ in load]
        yield f'<path class="run" d="{self._area(only, base, top)}"/>'
        y = top(slots)
        yield (
            f'<line class="slots" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}"'
            f' y2="{y:.1f}"/>'
        )
        x = _WIDTH - _RIGHT + 6
        yield _text(x, y + 4, counted(slots, "slot"), "number")
        if highest > slots + highest // 8:
            yield _text(x, top(highest) + 4, f"{highest}", "number")
        yield _text(x, base, "0", "number")

    def _area(
        self,
        values: Iterable[tuple[int, int]],
        base: int,
        top: Callable[[int], float],
    ) -> str:
        """Return a stepped area; of the values in one half pixel the highest is drawn."""
        columns: list[tuple[int, int, int]] = []
        for at, value in values:
            column = round((self._x(at) - _LEFT) * 2)
            if columns and columns[-1][0] == column:
                highest = max(columns[-1][1], value)
                columns[-1] = (column, highest, value)
            else:
                columns.append((column, value, value))
        path = [f"M{_LEFT} {base}"]
        for column, highest, last in columns:
            x = _LEFT + column / 2
            path.append(f"H{x:.1f}V{top(highest):.1f}")
            if last != highest:
                path.append(f"h.5V{top(last):.1f}")
        path.append(f"H{self._x(self._outcome.until):.1f}V{base}Z")
        return "".join(path)

    def _lane(self, lane: Lane, y: int, *, is_striped: bool) -> Iterator[str]:
        row = lane.row
        if is_striped:
            yield (
                f'<rect class="stripe" x="0" y="{y}" width="{_WIDTH}" height="{_ROW}"'
                ' opacity=".6"/>'
            )
        yield "<g>"
        yield (
            f"<title>{escape(row.name)}: {row.started} started, {row.skipped} skipped,"
            f" longest wait {_length(row.longest_wait)}, busy {_length(row.busy)}</title>"
        )
        yield _text(12, y + 12, _shortened(row.name), clip=True)
        top = y + (_ROW - _BAR) // 2
        if waiting := self._bars(lane.waiting, top + 2, _BAR - 4):
            yield f'<path class="wait" d="{waiting}"/>'
        if running := self._bars(lane.running, top, _BAR):
            yield f'<path class="run" d="{running}"/>'
        if lane.skipped:
            marks = sorted({round(self._x(at)) for at in lane.skipped})
            crosses = "".join(_cross(x, y + _ROW // 2) for x in marks)
            yield f'<path class="halo" d="{crosses}"/>'
            yield f'<path class="skip" d="{crosses}"/>'
        skipped = f", {row.skipped} skipped" if row.skipped else ""
        yield _text(_WIDTH - _RIGHT + 6, y + 12, f"{row.started}{skipped}", "number")
        yield "</g>"

    def _bars(self, spans: list[Span], top: int, height: int) -> str:
        half_pixel = (self._outcome.end - self._outcome.start) // (_CHART * 2)
        path = []
        for start, end in merged(spans, gap=half_pixel):
            x = self._x(start)
            width = max(1.0, self._x(end) - x)
            path.append(f"M{x:.1f} {top}h{width:.1f}v{height}h-{width:.1f}z")
        return "".join(path)


def _text(x: float, y: float, text: str, kind: str = "", *, clip: bool = False) -> str:
    style = f' class="{kind}"' if kind else ""
    # A name that is wider than its column is squeezed into it.
    width = min(_LEFT - 24, round(len(text) * 6.3)) if clip else 0
    fit = (
        f' textLength="{width}" lengthAdjust="spacingAndGlyphs"'
        if (clip and len(text) * 6.3 > _LEFT - 24)
        else ""
    )
    return f'<text x="{x:.1f}" y="{y:.1f}"{style}{fit}>{escape(text)}</text>'


def _cross(x: float, y: float) -> str:
    return f"M{x - 3:.1f} {y - 3:.1f}l6 6m0 -6l-6 6"


def _shortened(name: str) -> str:
    return name if len(name) <= 44 else f"{name[:20]}…{name[-23:]}"


def _length(length: int) -> str:
    return format_duration(length - length % 1_000_000)
