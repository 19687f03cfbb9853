"""The cron dialect: from text to one canonical expression.

Debian's five columns, or six with seconds first. This module finds mistakes and their
place, and rewrites what the libraries would misread (see `terms`); croniter expands the
values. The canonical text that comes out is read by cronsim as it stands, and equal
meanings have equal texts, so that equal schedules can share one rule.

The meaning of a text never changes: what the libraries changed between their versions
(`59/15`, `6/1`, equal ranges, hashes) is decided here and not there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from jobs_grpc.schedule.error import RuleError, did_you_mean, quoted
from jobs_grpc.schedule.fields import DAY, FIELDS, WEEKDAY
from jobs_grpc.schedule.terms import TermReader

_ALIASES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
# Every value of every column spelled out has 600 characters.
_LONGEST_TEXT: Final = 1_000
_ODD: Final = re.compile(r"[^ -~\t\n\r]")
_ZONE: Final = re.compile(r"\s*((?:CRON_)?TZ=)")
_COLUMN: Final = re.compile(r"\S+", re.ASCII)
_COLUMNS: Final = (
    "a cron expression has 5 fields (minute, hour, day-of-month, month, day-of-week)"
    " or 6 (second first)"
)
_LENGTHS: Final = {2: (28, 29), 4: (30,), 6: (30,), 9: (30,), 11: (30,)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """A cron expression that was understood; times of day sorted, days as text."""

    canonical: str
    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    # The last three columns, as cronsim reads them.
    days: str
    # Second, minute or hour began with a star: Debian lets it follow real time.
    follows_real_time: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    star: bool
    values: frozenset[int]
    # `L`, `5L`, `1#2`: values that depend on the month.
    special: frozenset[str]
    canonical: str


def read_expression(text: str, seed: str) -> Expression:
    """Return what `text` means; `seed` decides what `H` stands for.

    A `RuleError` has the position of the mistake.
    """
    _check_text(text)
    body = _ALIASES.get(text.strip().lower(), text)
    if body.lstrip().startswith("@"):
        raise _bad_alias(text)
    places = [match.span() for match in _COLUMN.finditer(body)]
    if len(places) not in (5, 6):
        raise _wrong_number(text, places)
    columns = [] if len(places) == 6 else [_column(0, "0", "")]
    for start, end in places:
        word = body[start:end]
        try:
            columns.append(
                _column(len(columns), word, seed if "H" in word.upper() else "")
            )
        except RuleError as error:
            raise error.inside(text, start) from None
    second, minute, hour, day, month, weekday = columns
    if not _can_match(day, month, weekday):
        raise RuleError(
            "this expression is never due: none of its months has such a day",
            position=places[-3][0],
            text=text,
        )
    words = [column.canonical for column in columns]
    return Expression(
        canonical=" ".join(words[1:] if words[0] == "0" else words),
        seconds=tuple(sorted(second.values)),
        minutes=tuple(sorted(minute.values)),
        hours=tuple(sorted(hour.values)),
        days=" ".join(words[3:]),
        follows_real_time=second.star or minute.star or hour.star,
    )


def _check_text(text: str) -> None:
    if len(text) > _LONGEST_TEXT:
        raise RuleError(
            f"a cron expression has at most {_LONGEST_TEXT} characters",
            position=_LONGEST_TEXT,
            text=text,
        )
    # Pasted dashes and no-break spaces look right and are not.
    if odd := _ODD.search(text):
        raise RuleError(
            f"unexpected character {odd[0]!a}", position=odd.start(), text=text
        )
    if zone := _ZONE.match(text):
        raise RuleError(
            "the time zone is not part of the expression: write it as timezone",
            position=zone.start(1),
            text=text,
        )


def _bad_alias(text: str) -> RuleError:
    word = text.split(maxsplit=1)[0]
    position = text.index("@")
    if word.lower() == "@reboot":
        problem = (
            "@reboot is not supported, for a fleet has no single start: use the service"
            " manager of the host"
        )
    elif word.lower() in _ALIASES:
        problem = f"nothing can follow {word}"
        position += len(word)
    else:
        problem = f"unknown alias {quoted(word)}{did_you_mean(word, _ALIASES)}"
    return RuleError(problem, position=position, text=text)


def _wrong_number(text: str, places: list[tuple[int, int]]) -> RuleError:
    count = len(places)
    position = places[6][0] if count > 6 else len(text.rstrip())
    hint = "; a year field is not supported" if count == 7 else ""
    word = text.strip().lower()
    if count == 1:
        hint = did_you_mean(f"@{word}", _ALIASES)
    elif word.startswith("every"):
        hint = "; an interval is written with every in place of cron"
    return RuleError(f"{_COLUMNS}, got {count}{hint}", position=position, text=text)


# By column and not by expression: thousands of schedules have few distinct columns, and
# croniter takes some 100 µs for one.
@lru_cache(maxsize=4_096)
def _column(index: int, word: str, seed: str) -> _Column:
    field = FIELDS[index]
    terms = TermReader(field=field, text=word, seed=seed).read()
    values = _values(index, ",".join(terms.plain)) if terms.plain else frozenset()
    special = frozenset() if values == field.stepped(1) else frozenset(terms.special)
    plain = [field.spelled(values, star=terms.star)] if values else []
    return _Column(
        star=terms.star,
        values=values,
        special=special,
        canonical=",".join([*plain, *sorted(special)]),
    )


@lru_cache(maxsize=4_096)
def _values(index: int, plain: str) -> frozenset[int]:
    """Return the values of one column, expanded by croniter."""
    # Late, for it takes 60 ms: a program that only counts intervals starts without.
    from croniter import croniter

    words = ["*"] * len(FIELDS)
    words[index] = plain
    expanded, _ = croniter.expand(" ".join(words), second_at_beginning=True)
    # croniter keeps the seconds last.
    found = expanded[(index - 1) % len(FIELDS)]
    if "*" in found:
        return FIELDS[index].stepped(1)
    return frozenset(value for value in found if isinstance(value, int))


def _can_match(day: _Column, month: _Column, weekday: _Column) -> bool:
    """Say whether there is any day at all, without walking through the years.

    In 400 years a month of each length begins with each weekday, so that seven of each
    stand for the whole calendar.
    """
    if not (day.star or weekday.star):
        return True  # either column alone is enough, and every month has a Monday
    return any(
        _month_has_day(day, weekday, length, first)
        for number in month.values
        for length in _LENGTHS.get(number, (31,))
        for first in range(WEEKDAY.size)
    )


def _month_has_day(day: _Column, weekday: _Column, length: int, first: int) -> bool:
    for number in range(DAY.low, length + 1):
        if number not in day.values and not (day.special and number == length):
            continue
        name = (first + number - 1) % WEEKDAY.size
        nth = f"{name}#{(number + 6) // 7}"
        is_last = number + 7 > length and f"{name}L" in weekday.special
        if name in weekday.values or nth in weekday.special or is_last:
            return True
    return False
