"""systemd's unit files: sections of keys, each key with the values it was given."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

_SPANS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("usec", "us", "µs"), 1),
    **dict.fromkeys(("msec", "ms"), 1_000),
    **dict.fromkeys(("", "seconds", "second", "sec", "s"), 1_000_000),
    **dict.fromkeys(("minutes", "minute", "min", "m"), 60_000_000),
    **dict.fromkeys(("hours", "hour", "hr", "h"), 3_600_000_000),
    **dict.fromkeys(("days", "day", "d"), 86_400_000_000),
    **dict.fromkeys(("weeks", "week", "w"), 604_800_000_000),
    **dict.fromkeys(("months", "month", "M"), 2_629_800_000_000),
    **dict.fromkeys(("years", "year", "y"), 31_557_600_000_000),
}
_SPAN_PART: Final = re.compile(r"\s*(\d+)(?:\.(\d+))?\s*([A-Za-zµ]*)")
_TRUE: Final = frozenset(["1", "yes", "y", "true", "t", "on"])
_ESCAPES: Final = {"n": "\n", "t": "\t", "s": " ", "\\": "\\", '"': '"', "'": "'"}


@dataclass(slots=True)
class Unit:
    """One unit with its drop-ins; values in the order of the files."""

    name: str
    values: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def read(self, text: str) -> None:
        """Add what a file says. An empty value forgets the earlier ones."""
        section = ""
        for line in _joined(text):
            if line.startswith("["):
                section = line.strip("[] ")
                continue
            key, equals, value = line.partition("=")
            if not equals:
                continue
            entry = self.values.setdefault((section, key.strip()), [])
            if value.strip():
                entry.append(value.strip())
            else:
                entry.clear()

    def all(self, section: str, key: str) -> list[str]:
        return self.values.get((section, key), [])

    def last(self, section: str, key: str) -> str:
        values = self.all(section, key)
        return values[-1] if values else ""

    def flag(self, section: str, key: str) -> bool:
        return self.last(section, key).lower() in _TRUE

    def keys(self, section: str) -> list[str]:
        return [
            key
            for (where, key), given in self.values.items()
            if where == section and given
        ]


def _joined(text: str) -> list[str]:
    """Return the lines that say something, continued ones in one."""
    lines: list[str] = []
    is_continued = False
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith(("#", ";")) or not (line or is_continued):
            continue
        end = line.endswith("\\")
        part = line[:-1].rstrip() if end else line
        if is_continued:
            lines[-1] = f"{lines[-1]} {part}"
        else:
            lines.append(part)
        is_continued = end
    return lines


def microseconds(text: str) -> int | None:
    """Return the length of a time span such as `1h 30min`; None if it is none."""
    if text.strip() == "infinity":
        return None
    total, position = 0, 0
    text = text.strip()
    while position < len(text):
        match = _SPAN_PART.match(text, position)
        if match is None or match[3] not in _SPANS:
            return None
        unit = _SPANS[match[3]]
        total += int(match[1]) * unit
        if match[2]:
            total += int(match[2]) * unit // 10 ** len(match[2])
        position = match.end()
    return total


def words(text: str) -> list[str] | None:
    """Split a value as systemd does: quotes, and C's escapes; None if a quote is open."""
    found: list[str] = []
    current: list[str] | None = None
    quote = ""
    position = 0
    while position < len(text):
        one = text[position]
        if one == "\\" and position + 1 < len(text):
            after = text[position + 1]
            current = [*(current or []), _ESCAPES.get(after, f"\\{after}")]
            position += 2
            continue
        if quote:
            if one == quote:
                quote = ""
            else:
                current = [*(current or []), one]
        elif one in "\"'" and current is None:
            # A quote opens at the beginning of a word, or after a `=`.
            quote, current = one, []
        elif one in "\"'" and current and current[-1] == "=":
            quote = one
        elif one.isspace():
            if current is not None:
                found.append("".join(current))
            current = None
        else:
            current = [*(current or []), one]
        position += 1
    if quote:
        return None
    if current is not None:
        found.append("".join(current))
    return found
