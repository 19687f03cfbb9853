"""Durations as people write them: `500ms`, `30s`, `5m`, `1h30m`, `2d`, `1w`.

The unit of the result is the microsecond, like that of instants. The grammar is strict
on purpose: libraries that guess read `1h-5m` as 65 minutes and `1y` as 365 days.
"""

from __future__ import annotations

import math
import re
from typing import Final

from jobs_grpc.schedule.error import RuleError, quoted

MILLISECOND: Final = 1_000
SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

_UNITS: Final = {
    "w": 7 * DAY,
    "d": DAY,
    "h": HOUR,
    "m": MINUTE,
    "s": SECOND,
    "ms": MILLISECOND,
}
# A longer one is a slip of the pen, and would not fit the calendar of `datetime`.
_LONGEST: Final = 36_500 * DAY
# No sensible duration is longer, and Python refuses to read endless digits.
_LONGEST_TEXT: Final = 64
_EXAMPLES: Final = "a duration looks like 30s, 5m or 1h30m"
_NUMBER: Final = re.compile(r"(\d+)(?:\.(\d+))?", re.ASCII)
_UNIT: Final = re.compile(r"[^\W\d_]*")


def parse_duration(text: str | float) -> int:
    """Return the microseconds of a duration; a bare number counts seconds.

    Units go from large to small, each at most once, and may have decimals (`1.5h`).
    Zero is allowed: whether it makes sense, the caller knows. Negative, endless and
    finer than a microsecond are a `RuleError`, as is more than 36,500 days.
    """
    if isinstance(text, str):
        return _within_limit(_read(text), text)
    if isinstance(text, bool) or not isinstance(text, int | float):
        raise RuleError(f"{_EXAMPLES}, got {type(text).__name__}")
    if isinstance(text, float) and not math.isfinite(text):
        raise RuleError(f"a duration is a finite number of seconds, got {text}")
    if text < 0:
        raise RuleError("a duration cannot be negative")
    if isinstance(text, int):
        return _within_limit(text * SECOND, "")
    return _within_limit(round(text * SECOND), "")


def format_duration(microseconds: int) -> str:
    """Return the canonical text: `1h30m`, `1m30s`, `500ms`, `7d`; zero is `0s`."""
    if microseconds < 0:
        return "-" + format_duration(-microseconds)
    text = ""
    rest = microseconds
    for unit in ("d", "h", "m", "s"):
        count, rest = divmod(rest, _UNITS[unit])
        text += f"{count}{unit}" if count else ""
    if rest:
        whole, fraction = divmod(rest, MILLISECOND)
        decimals = f".{fraction:03}".rstrip("0") if fraction else ""
        text += f"{whole}{decimals}ms"
    return text or "0s"


def _read(text: str) -> int:
    start = len(text) - len(text.lstrip())
    end = len(text.rstrip())
    if start >= end:
        raise RuleError(f"{_EXAMPLES}, got nothing", position=0, text=text)
    if end - start > _LONGEST_TEXT:
        raise RuleError(f"{_EXAMPLES}, got {quoted(text)}", position=start, text=text)
    if text[start] == "-":
        raise RuleError("a duration cannot be negative", position=start, text=text)
    bare = _NUMBER.fullmatch(text, start, end)
    if bare:
        return _scaled(bare, SECOND, text)
    total, position, smallest = 0, start, math.inf
    while position < end:
        number = _NUMBER.match(text, position, end)
        if number is None:
            raise RuleError(
                f"{_EXAMPLES}, got {quoted(text.strip())}", position=position, text=text
            )
        unit = _UNIT.match(text, number.end(), end)
        name = unit.group() if unit else ""
        if name not in _UNITS:
            got = f"got {quoted(name)}" if name else "got none"
            raise RuleError(
                f"the unit of a duration is ms, s, m, h, d or w, {got}",
                position=number.end(),
                text=text,
            )
        if _UNITS[name] >= smallest:
            raise RuleError(
                f"the units of a duration go from large to small, each once, got"
                f" {quoted(text.strip())}",
                position=position,
                text=text,
            )
        smallest = _UNITS[name]
        total += _scaled(number, smallest, text)
        position = number.end() + len(name)
    return total


def _scaled(number: re.Match[str], unit: int, text: str) -> int:
    """Return the number times the unit, in whole microseconds and without floats."""
    decimals = number[2] or ""
    finest: int = 10 ** len(decimals)
    scaled, rest = divmod(int(number[1] + decimals) * unit, finest)
    if rest:
        raise RuleError(
            "a duration cannot be finer than a microsecond",
            position=number.start(),
            text=text,
        )
    return scaled


def _within_limit(microseconds: int, text: str) -> int:
    if microseconds > _LONGEST:
        raise RuleError("a duration is at most 36500d", position=0, text=text)
    return microseconds
