"""A text that is read, and the places in it.

A reader returns `Parsed` values. Where things stand is computed only when something is
wrong with them: most files are right, and ten thousand of them are read at once.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from jobs_grpc.jobfile.part.complaint import Loc
from jobs_grpc.jobfile.problem import Problem

LARGEST_FILE: Final = 1024 * 1024
"""Bytes of one file; a definition is at most a quarter of that."""

DEEPEST: Final = 50
"""Levels of lists and objects in a file; ours has at most six, parameters may have more."""


class Place(NamedTuple):
    """A line and a column, counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Spot:
    """Where an entry stands: its value, and its key if it is in an object."""

    value: Place
    key: Place | None = None


Spots: TypeAlias = Mapping[Loc, Spot]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """A value that was read; `line` is where it begins, `spots` finds its entries."""

    value: object
    line: int
    spots: Callable[[], Spots]


@dataclass(frozen=True, slots=True)
class Source:
    """A text with the name of its origin."""

    origin: str
    text: str
    _lines: list[str] = field(default_factory=list, repr=False)

    def place(self, offset: int) -> Place:
        """Return the place of a character, given its offset in the text."""
        before = self.text[:offset]
        return Place(before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)

    def problem(
        self, message: str, place: Place | None = None, field: str = ""
    ) -> Problem:
        """Return a problem of this text."""
        line, column = place or (None, None)
        return Problem(self.origin, line, column, field, message)

    def inside(self, place: Place, value: str, offset: int) -> Place:
        """Return the place of a character of a text value that begins at `place`.

        Where the value is not written as it reads, because it has escapes or several
        lines, this is the beginning of the value.
        """
        if not self._lines:
            self._lines.extend(self.text.split("\n"))
        if place.line > len(self._lines):
            return place
        written = self._lines[place.line - 1][place.column - 1 :]
        if written.startswith(value):
            return Place(place.line, place.column + offset)
        if written[1:].startswith(value):
            return Place(place.line, place.column + 1 + offset)
        return place


def decode(content: bytes, origin: str) -> Source | Problem:
    """Return the text of a file, or why it has none."""
    if len(content) > LARGEST_FILE:
        return too_large(origin, len(content))
    for mark, encoding in _FOREIGN_MARKS:
        if content.startswith(mark):
            message = f"the file is {encoding}; save it as UTF-8"
            return Problem(origin, None, None, "", message)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return _not_utf8(content, error, origin)
    return Source(origin, text)


def too_large(origin: str, size: int) -> Problem:
    """Return the problem of a file that is no job file by its size alone."""
    shown = f"{size / 1024 / 1024:.1f} MiB"
    message = f"the file is {shown}; a job file is at most 1 MiB"
    return Problem(origin, None, None, "", message)


# The longer marks first: the one of UTF-32 begins like the one of UTF-16.
_FOREIGN_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


def _not_utf8(content: bytes, error: UnicodeDecodeError, origin: str) -> Problem:
    before = content[: error.start]
    line = before.count(b"\n") + 1
    start = before.rfind(b"\n") + 1
    column = len(before[start:].decode("utf-8", "replace")) + 1
    message = (
        f"the file is not UTF-8: byte 0x{content[error.start]:02x} at offset "
        f"{error.start}; it may be Latin-1, save it as UTF-8"
    )
    return Problem(origin, line, column, "", message)


def depth_fault(value: object, levels: int = DEEPEST) -> bool:
    """Whether lists and objects are nested deeper than any job needs."""
    if isinstance(value, dict):
        return levels == 0 or any(depth_fault(v, levels - 1) for v in value.values())
    if isinstance(value, list):
        return levels == 0 or any(depth_fault(v, levels - 1) for v in value)
    return False


TOO_DEEP: Final = f"lists and objects are nested deeper than {DEEPEST} levels"
