"""Records in columns.

Plain text in aligned columns, as pipes and eyes like it; on a terminal, states have
colors and the last column is cut at the edge.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import click

T = TypeVar("T")

_GAP: Final = "   "
_LEAST_ROOM: Final = 12
_ENDLESS: Final = 1_000_000
COLORS: Final = {
    "succeeded": "green",
    "online": "green",
    "created": "green",
    "failed": "red",
    "timed_out": "red",
    "lost": "red",
    "offline": "red",
    "running": "cyan",
    "updated": "cyan",
    "cancelled": "yellow",
    "cancelling": "yellow",
    "retrying": "yellow",
    "disconnected": "yellow",
    "draining": "yellow",
}


# Without slots, which break `Column[Job](...)`: python/cpython#90562.
@dataclass(frozen=True)
class Column(Generic[T]):
    """A title and what stands under it."""

    title: str
    cell: Callable[[T], str]
    # What stands there with `-o wide`, where that differs.
    wide: Callable[[T], str] | None = None
    only_wide: bool = False


def print_table(
    columns: Sequence[Column[T]], records: Sequence[T], *, wide: bool
) -> None:
    """Print a line of titles and a line for each record."""
    shown = [column for column in columns if wide or not column.only_wide]
    cells = [(column.wide if wide else None) or column.cell for column in shown]
    rows = [[_one_line(cell(record)) for cell in cells] for record in records]
    titles = [column.title for column in shown]
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    used = sum(widths[:-1]) + len(_GAP) * (len(widths) - 1)
    room = max(_terminal_width() - used, _LEAST_ROOM)
    for row in [titles, *rows]:
        last = row[-1] if len(row[-1]) <= room else f"{row[-1][: room - 1]}…"
        padded = [
            _colored(cell, cell.ljust(width))
            for cell, width in zip(row[:-1], widths[:-1], strict=True)
        ]
        click.echo(_GAP.join([*padded, _colored(last, last)]).rstrip())


def wants_color() -> bool:
    """Standard output is a terminal and nobody asked for none (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def colored_state(state: str) -> str:
    """Return a state, in its color where colors are wanted."""
    return _colored(state, state)


def _colored(word: str, text: str) -> str:
    color = COLORS.get(word)
    return click.style(text, fg=color) if color and wants_color() else text


def _one_line(text: str) -> str:
    return " ".join(text.split()) or "-"


def _terminal_width() -> int:
    # Into a file, a pipe or a terminal of unknown width, everything is written whole.
    if not sys.stdout.isatty():
        return _ENDLESS
    return os.get_terminal_size(sys.stdout.fileno()).columns or _ENDLESS
