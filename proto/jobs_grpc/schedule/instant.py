"""Instants: integer microseconds since the Unix epoch, UTC; as text, RFC 3339."""

from __future__ import annotations

import calendar
import re
from datetime import UTC, datetime, timedelta
from typing import Final

from jobs_grpc.schedule.error import RuleError, quoted

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SHAPE: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?"
    r"([Zz]|[+-]\d\d:\d\d)?",
    re.ASCII,
)
_TEMPLATE: Final = "9999-99-99T99:99:99"
_YEAR, _MONTH, _DAY, _HOUR, _MINUTE, _SECOND, _FRACTION, _OFFSET = range(1, 9)
_LONGEST_TEXT: Final = 64


def parse_instant(text: str) -> int:
    """Return the instant of an RFC 3339 text, for example `2027-01-15T10:00:00Z`.

    A time without Z or offset is refused: whose time it is would be a guess. Digits
    beyond the microsecond are cut off.
    """
    if not isinstance(text, str):
        raise RuleError(
            f"an instant is text like 2027-01-15T10:00:00Z, got {type(text).__name__}"
        )
    lead = len(text) - len(text.lstrip())
    body = text.strip()
    shape = _SHAPE.fullmatch(body) if len(body) <= _LONGEST_TEXT else None
    if shape is None:
        raise RuleError(
            f"an instant looks like 2027-01-15T10:00:00Z, got {quoted(body)}",
            position=lead + _first_misfit(body),
            text=text,
        )
    try:
        moment = _moment(shape)
    except RuleError as error:
        raise error.inside(text, lead) from None
    return (moment - _EPOCH) // timedelta(microseconds=1)


def format_instant(us: int) -> str:
    """Return RFC 3339 in UTC with `Z`; six decimals only where there are any.

    An instant outside the years 1 to 9999 is a `RuleError`.
    """
    try:
        moment = _EPOCH + timedelta(microseconds=us)
    except OverflowError:
        raise RuleError("an instant lies in the years 1 to 9999") from None
    return moment.replace(tzinfo=None).isoformat() + "Z"


def from_datetime(moment: datetime) -> int:
    """Return the instant of a datetime, as TOML and YAML readers make them."""
    if moment.utcoffset() is None:
        raise _needs_zone(moment.isoformat(), None)
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _moment(shape: re.Match[str]) -> datetime:
    year = _part(shape, _YEAR, "year", 1, 9999)
    month = _part(shape, _MONTH, "month", 1, 12)
    last = calendar.monthrange(year, month)[1]
    day = _part(shape, _DAY, f"day of {year}-{month:02}", 1, last)
    hour = _part(shape, _HOUR, "hour", 0, 23)
    minute = _part(shape, _MINUTE, "minute", 0, 59)
    second = _part(shape, _SECOND, "second", 0, 59)
    microsecond = int(((shape[_FRACTION] or "") + "000000")[:6])
    moment = datetime(year, month, day, hour, minute, second, microsecond, UTC)
    offset = _offset(shape)
    try:
        return moment - offset
    except OverflowError:
        raise RuleError("an instant lies in the years 1 to 9999", position=0) from None


def _part(shape: re.Match[str], group: int, name: str, low: int, high: int) -> int:
    value = int(shape[group])
    if not low <= value <= high:
        raise RuleError(
            f"{name} must be {low}-{high}, got {quoted(shape[group])}",
            position=shape.start(group),
        )
    return value


def _offset(shape: re.Match[str]) -> timedelta:
    text = shape[_OFFSET]
    if text is None:
        raise _needs_zone(shape[0], shape.end())
    if text in "Zz":
        return timedelta(0)
    hours, minutes = int(text[1:3]), int(text[4:6])
    if hours > 23 or minutes > 59:
        raise RuleError(
            f"an offset must be -23:59 to +23:59, got {quoted(text)}",
            position=shape.start(_OFFSET),
        )
    offset = timedelta(hours=hours, minutes=minutes)
    return -offset if text[0] == "-" else offset


def _needs_zone(text: str, position: int | None) -> RuleError:
    return RuleError(
        "an instant needs its zone: end it with Z for UTC or an offset such as +02:00,"
        f" got {quoted(text)}",
        position=position,
    )


def _first_misfit(body: str) -> int:
    """Return the offset of the first character that leaves the shape."""
    for position, wanted in enumerate(_TEMPLATE):
        got = body[position : position + 1]
        fits = got in "Tt " if wanted == "T" else got == wanted
        if not got or not (fits or (wanted == "9" and got in "0123456789")):
            return position
    return len(_TEMPLATE)
