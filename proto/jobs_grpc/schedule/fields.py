"""The columns of a cron expression: what each counts, and how its values are spelled."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

_MONTHS: Final = [
    "JAN",
    "FEB",
    "MAR",
    "APR",
    "MAY",
    "JUN",
    "JUL",
    "AUG",
    "SEP",
    "OCT",
    "NOV",
    "DEC",
]
_WEEKDAYS: Final = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One column: its name in messages, the values it counts, the words for them."""

    name: str
    low: int
    high: int
    # The highest number that may be written: 7 is a second name of Sunday.
    top: int
    words: Mapping[str, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return self.high - self.low + 1

    def stepped(self, step: int) -> frozenset[int]:
        """Return what `*/step` means; a step of 1 means every value."""
        return frozenset(range(self.low, self.high + 1, step))

    @property
    def expectation(self) -> str:
        """What may stand in this column, for messages: `1-12 or JAN-DEC`."""
        names = list(self.words)
        words = f" or {names[0]}-{names[-1]}" if names else ""
        return f"{self.name} must be {self.low}-{self.top}{words}"

    def hashed(self, seed: str, low: int, high: int) -> int:
        """Return the value in low..high that `seed` draws for this column.

        Ours and not the library's: a due time must not move with a dependency. The
        name of the column is part of the hash, so that equal seeds do not draw the
        same minute and hour.
        """
        digest = hashlib.blake2b(f"{seed}\0{self.name}".encode(), digest_size=8)
        return low + int.from_bytes(digest.digest()) % (high - low + 1)

    def spelled(self, values: frozenset[int], *, star: bool) -> str:
        """Return the one canonical text of a set of values.

        `star` says that the column began with a star. It has to be kept: Debian's cron
        reads from it whether day-of-month and day-of-week are ANDed and whether a
        schedule follows real time.
        """
        if not star:
            return _ranges(values)
        if values == self.stepped(1):
            return "*"
        for step in range(2, self.size + 1):
            if self.stepped(step) == values:
                return f"*/{step}"
        # `*/20,7`: the smallest step that the values hold, then the rest.
        for step in range(2, self.size + 1):
            if self.stepped(step) <= values:
                return f"*/{step},{_ranges(values - self.stepped(step))}"
        raise AssertionError("a column that began with a star holds its first value")


def _ranges(values: Iterable[int]) -> str:
    """Return `1-5,7`: runs of three or more as a range, the rest one by one."""
    runs: list[list[int]] = []
    for value in sorted(values):
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return ",".join(
        f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(map(str, run))
        for run in runs
    )


SECOND: Final = Field(name="second", low=0, high=59, top=59)
MINUTE: Final = Field(name="minute", low=0, high=59, top=59)
HOUR: Final = Field(name="hour", low=0, high=23, top=23)
DAY: Final = Field(name="day-of-month", low=1, high=31, top=31)
MONTH: Final = Field(
    name="month",
    low=1,
    high=12,
    top=12,
    words={name: number for number, name in enumerate(_MONTHS, start=1)},
)
WEEKDAY: Final = Field(
    name="day-of-week",
    low=0,
    high=6,
    top=7,
    words={name: number for number, name in enumerate(_WEEKDAYS)},
)

FIELDS: Final = (SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY)
