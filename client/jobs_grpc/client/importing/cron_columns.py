"""The five columns of a crontab line, as Debian's cron reads them, in our dialect.

The two dialects mean the same by nearly everything. Rewritten are: steps that are larger
than their column (`*/90` is the first value to cron, and refused by us), and the random
ranges of OpenBSD and cronie (`~`, `0~29`), which become `H`. What cron itself refuses is
refused here too: such a line has never run, and nobody knows what it should mean.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

ALIASES: Final = {
    "@yearly": "@yearly",
    "@annually": "@yearly",
    "@monthly": "@monthly",
    "@weekly": "@weekly",
    "@daily": "@daily",
    "@midnight": "@daily",
    "@hourly": "@hourly",
    # FreeBSD's.
    "@every_minute": "* * * * *",
}

_MONTHS: Final = [
    "jan",
    "feb",
    "mar",
    "apr",
    "may",
    "jun",
    "jul",
    "aug",
    "sep",
    "oct",
    "nov",
    "dec",
]
_DAYS: Final = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]


class _Column(NamedTuple):
    name: str
    low: int
    high: int
    words: dict[str, int]


_COLUMNS: Final = (
    _Column("minute", 0, 59, {}),
    _Column("hour", 0, 23, {}),
    _Column("day of month", 1, 31, {}),
    _Column("month", 1, 12, {name: n for n, name in enumerate(_MONTHS, 1)}),
    _Column("day of week", 0, 7, {name: n for n, name in enumerate(_DAYS)}),
)
_TERM: Final = re.compile(
    r"(?P<star>\*)(?:/(?P<star_step>\d+))?"
    r"|(?P<low>\d+|[A-Za-z]{3})(?:-(?P<high>\d+|[A-Za-z]{3})(?:/(?P<step>\d+))?)?"
    r"|(?P<random>(?P<first>\d*)~(?P<last>\d*))",
    re.ASCII,
)


class ColumnError(ValueError):
    """cron would refuse this line; the text says why."""


class Expression(NamedTuple):
    """A cron expression of ours, and what has to be said about it."""

    text: str
    is_random: bool
    # Day of month and day of week are both restricted: either is enough.
    either_day: bool
    # One of the two begins with a star and has a step, so that both must match.
    both_days: bool


def read_columns(words: list[str]) -> Expression:
    """Return the expression of five columns; raises `ColumnError`."""
    columns = [
        _column(word, column) for word, column in zip(words, _COLUMNS, strict=True)
    ]
    day, weekday = words[2], words[4]
    restricted = "*" not in {day, weekday}
    has_star = "*" in {day[0], weekday[0]}
    return Expression(
        text=" ".join(columns),
        is_random=any("~" in word for word in words),
        either_day=restricted and not has_star,
        both_days=restricted and has_star,
    )


def _column(word: str, column: _Column) -> str:
    if not word.isascii():
        raise ColumnError(f"{column.name}: {word!r} has odd characters")
    return ",".join(_term(term, column) for term in word.split(","))


def _term(term: str, column: _Column) -> str:
    match = _TERM.fullmatch(term)
    if match is None:
        raise ColumnError(_why_not(term, column))
    if match["random"]:
        low = int(match["first"] or column.low)
        high = int(match["last"] or column.high)
        _check(low, high, column, term)
        return "H" if match["random"] == "~" else f"H({low}-{high})"
    if match["star"]:
        return f"*/{_step(match['star_step'], column)}" if match["star_step"] else "*"
    low = _number(match["low"], column)
    high = _number(match["high"], column) if match["high"] else low
    _check(low, high, column, term)
    if not match["step"]:
        return term
    step = _step(match["step"], column)
    # A step beyond the end leaves the first value, whatever the step is.
    return f"{match['low']}-{match['high']}/{step}" if low + step <= high else str(low)


def _number(word: str, column: _Column) -> int:
    if word.isdigit():
        return int(word)
    if word.lower() not in column.words:
        raise ColumnError(f"{column.name}: {word!r} is no name that cron knows")
    return column.words[word.lower()]


def _step(word: str, column: _Column) -> int:
    size = min(column.high, 6) + 1 if column.high == 7 else column.high - column.low + 1
    step = int(word)
    if step == 0:
        raise ColumnError(f"{column.name}: a step of 0 never ends")
    return min(step, size)


def _check(low: int, high: int, column: _Column, term: str) -> None:
    if not column.low <= low <= column.high or not column.low <= high <= column.high:
        raise ColumnError(
            f"{column.name}: {term!r} is outside {column.low}-{column.high}"
        )
    if low > high:
        raise ColumnError(f"{column.name}: the range {term!r} falls")


def _why_not(term: str, column: _Column) -> str:
    base, slash, step = term.partition("/")
    high = 6 if column.high == 7 else column.high
    if slash and base.isalnum():
        return (
            f"{column.name}: {term!r} has a step without a range; Debian's cron refuses"
            f" it, others read it as {base}-{high}/{step}"
        )
    return f"{column.name}: {term!r} is not what crontab(5) allows"
