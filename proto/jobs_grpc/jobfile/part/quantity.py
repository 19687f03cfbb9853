"""Durations and sizes, kept as canonical text.

`90s`, `1m30s` and the number 90 mean the same and are kept as `1m30s`; `1024KiB` and
`1MiB` are kept as `1MiB`. The numbers behind them come from `microseconds` and
`size_bytes`, which remember what they have read: most jobs use the same few.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated, Final

from pydantic import PlainValidator, WithJsonSchema

from jobs_grpc.jobfile.part.complaint import complain, shown
from jobs_grpc.schedule import RuleError, format_duration, parse_duration

# Far more than any disk of a worker, and far from the end of 64-bit numbers.
LARGEST_SIZE: Final = 2**50

_DURATION_SCHEMA = {
    "anyOf": [
        {"type": "string", "examples": ["30s", "5m", "1h30m", "2d"]},
        {"type": "number", "description": "seconds"},
    ]
}
_SIZE_SCHEMA = {
    "anyOf": [
        {"type": "string", "examples": ["512KiB", "64MiB", "2GB"]},
        {"type": "integer", "description": "bytes"},
    ]
}
_UNITS: Final = {
    "": 1,
    "b": 1,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
    "tb": 1000**4,
    "kib": 1024,
    "mib": 1024**2,
    "gib": 1024**3,
    "tib": 1024**4,
}
_CANONICAL_UNITS: Final = ("TiB", "GiB", "MiB", "KiB", "TB", "GB", "MB", "kB")
_SIZE = re.compile(r"(\d{1,18}(?:\.\d{1,9})?) ?([A-Za-z]*)")


@lru_cache(maxsize=4096)
def microseconds(duration: str | float) -> int:
    """Return the length of a duration.

    Raises:
        RuleError: it is not a duration.
    """
    return parse_duration(duration)


@lru_cache(maxsize=4096)
def _canonical_duration(duration: str | float) -> str:
    return format_duration(microseconds(duration))


@lru_cache(maxsize=4096)
def size_bytes(size: str | int) -> int:
    """Return the bytes of a size; raises `ValueError` if it is none."""
    match = _SIZE.fullmatch(str(size))
    factor = _UNITS.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise ValueError(size)
    whole, _, fraction = match[1].partition(".")
    return int(whole) * factor + round(float(f"0.{fraction or 0}") * factor)


def format_size(size: int) -> str:
    """Return bytes in the largest unit that divides them."""
    for unit in _CANONICAL_UNITS:
        factor = _UNITS[unit.lower()]
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return f"{size}B"


def _duration(value: object) -> str:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise complain(f'must be a duration such as "30s" or "5m", got {shown(value)}')
    try:
        return _canonical_duration(value)
    except RuleError as error:
        raise complain(error.message, offset=error.position) from None


def _positive_duration(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool) and value <= 0:
        raise complain(f"must be longer than zero, got {shown(value)}")
    text = _duration(value)
    if microseconds(text) <= 0:
        raise complain(f"must be longer than zero, got {shown(value)}")
    return text


def _size(value: object) -> str:
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise complain(f'must be a size such as "64MiB" or "2GB", got {shown(value)}')
    try:
        size = size_bytes(value)
    except ValueError:
        raise complain(
            f'must be a size such as "64MiB" or "2GB", got {shown(value)}'
        ) from None
    if size <= 0:
        raise complain(f"must be larger than zero, got {shown(value)}")
    if size > LARGEST_SIZE:
        raise complain(f"must be at most 1024TiB, got {shown(value)}")
    return format_size(size)


Duration = Annotated[str, PlainValidator(_duration), WithJsonSchema(_DURATION_SCHEMA)]
PositiveDuration = Annotated[
    str, PlainValidator(_positive_duration), WithJsonSchema(_DURATION_SCHEMA)
]
Size = Annotated[str, PlainValidator(_size), WithJsonSchema(_SIZE_SCHEMA)]
