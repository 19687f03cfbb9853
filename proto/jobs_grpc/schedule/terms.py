"""One column of a cron expression: its terms, checked where they stand.

croniter expands the values, but it cannot say where a mistake is, and it reads some
spellings in a way that nobody means: `4-4` as every value, `22-3/3` as 22 and 2. So each
term is checked here, where its place is known, and handed on in a spelling that
croniter reads rightly: plain numbers, rising ranges, steps on those.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, NoReturn

from jobs_grpc.schedule.error import RuleError, quoted
from jobs_grpc.schedule.fields import DAY, HOUR, MINUTE, SECOND, WEEKDAY, Field

_HASHED: Final = re.compile(r"H(?:\((\d+)-(\d+)\))?", re.ASCII)
_NUMBER: Final = re.compile(r"\d{1,9}", re.ASCII)
_NEAREST: Final = re.compile(r"\d+W|L?W\d*", re.ASCII)
# How the interval is written that a step too large was meant to be.
_UNITS: Final = {SECOND.name: "s", MINUTE.name: "m", HOUR.name: "h", DAY.name: "d"}
# Jenkins' rule too: a monthly job should run in every month.
_DAYS_OF_EVERY_MONTH: Final = 28


@dataclass(slots=True, kw_only=True)
class Terms:
    """What one column says, in spellings that the libraries agree about."""

    # Began with `*` or is `?`: no restriction in Debian's sense, even with a step.
    star: bool
    # For croniter: `*`, `*/5`, `7`, `1-5`, `10-59/15`.
    plain: list[str] = field(default_factory=list)
    # For cronsim: `L`, `5L`, `1#2`.
    special: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class TermReader:
    """Reads one column, plain ASCII without blanks; positions count from its start."""

    field: Field
    text: str
    seed: str

    def read(self) -> Terms:
        word = self.text.upper()
        terms = Terms(star=word[0] in "*?")
        if "?" in word and (word != "?" or self.field not in (DAY, WEEKDAY)):
            at = word.index("?")
            self._fail("? stands alone, for day-of-month or day-of-week", at)
        position = 0
        for term in word.split(","):
            if not term:
                self._fail(f"{self.field.name} has an empty item in its list", position)
            self._term(term, position, terms)
            position += len(term) + 1
        return terms

    def _term(self, term: str, position: int, terms: Terms) -> None:
        base, slash, step_text = term.partition("/")
        if not base:
            self._fail(f"{self.field.name} has a step of nothing: write */n", position)
        step = self._step(step_text, position + len(base) + 1) if slash else 0
        if base == "?":
            terms.plain.append("*")
        elif base == "*":
            terms.plain.append(f"*/{step}" if step else "*")
        elif base == "H" or base.startswith("H("):
            terms.plain.append(self._hash(base, step, position))
        elif special := self._special(base, position):
            if step:
                self._fail("no step can follow L or #", position + len(base))
            terms.special.append(special)
        elif "-" in base:
            terms.plain += self._range(base, step or 1, position)
        else:
            value = self._value(base, position) % (self.field.high + 1)
            last = self.field.high if step else value
            terms.plain += self._span(value, last, step or 1)

    def _step(self, word: str, position: int) -> int:
        """Return the step; one that leaves the column is the `*/90` of a wrong guess."""
        size = self.field.size
        number = int(word) if _NUMBER.fullmatch(word) else 0
        if not 1 <= number <= size:
            unit = _UNITS.get(self.field.name)
            hint = f": an interval is written every {number}{unit}"
            self._fail(
                f"the step of {self.field.name} must be 1-{size}",
                position,
                word,
                hint if unit and number > size else "",
            )
        return number

    def _value(self, word: str, position: int) -> int:
        """Return the number of a value or word; 7 stays 7."""
        if word in self.field.words:
            return self.field.words[word]
        number = int(word) if _NUMBER.fullmatch(word) else -1
        if not self.field.low <= number <= self.field.top:
            short = word[:3]
            hint = f': write "{short}"' if short in self.field.words else ""
            self._fail(self.field.expectation, position, word, hint)
        return number

    def _range(self, base: str, step: int, position: int) -> list[str]:
        low_word, _, high_word = base.partition("-")
        if not low_word or not high_word:
            problem = f"a range of {self.field.name} needs both its ends"
            self._fail(problem, position, base)
        low = self._value(low_word, position)
        high = self._value(high_word, position + len(low_word) + 1)
        return self._span(low, high, step)

    def _span(self, low: int, high: int, step: int) -> list[str]:
        """Spell low..high by step as rising ranges; a falling one wraps around."""
        top, size = self.field.high, self.field.size
        if low > top:  # a range that starts at 7 starts at 0: both are Sunday
            low, high = 0, high % size
        if low <= high <= top:
            return [_rising(low, high, step)]
        # The step goes on across the end: 22-3/3 is 22, then 1.
        beyond = low + -(-(top + 1 - low) // step) * step - size
        last = 0 if high > top else high
        spans = [_rising(low, top, step)]
        return [*spans, _rising(beyond, last, step)] if beyond <= last else spans

    def _hash(self, base: str, step: int, position: int) -> str:
        """Return what `H`, `H/15`, `H(0-29)` or `H(0-29)/10` draws for the seed."""
        match = _HASHED.fullmatch(base)
        if match is None:
            self._fail("H is written H, H/15 or H(0-29)", position, base)
        low, high = self.field.low, self.field.high
        if match[1]:
            low = self._value(match[1], position + match.start(1))
            high = self._value(match[2], position + match.start(2))
            if not low < high <= self.field.high:
                allowed = f"{self.field.low}-{self.field.high}"
                problem = f"the range of H must rise and lie in {allowed}"
                self._fail(problem, position, base)
        span = high - low + 1
        span = min(step or span, span)
        if self.field is DAY and not match[1]:
            span = min(span, _DAYS_OF_EVERY_MONTH)
        drawn = self.field.hashed(self.seed, low, low + span - 1)
        return _rising(drawn, high, step) if step else str(drawn)

    def _special(self, base: str, position: int) -> str:
        """Return the spelling of `L`, `5L` or `MON#2`; empty if `base` is none."""
        if self.field in (DAY, WEEKDAY) and _NEAREST.fullmatch(base):
            problem = "the nearest weekday (W) is not supported: name the days"
            self._fail(problem, position, base)
        if self.field is DAY:
            return "L" if base == "L" else ""
        if self.field is not WEEKDAY:
            return ""
        if "#" in base:
            return self._nth(base, position)
        if base[0] == "L":
            problem = "the last weekday of a month is written 5L (here Friday)"
            self._fail(problem, position, base)
        if base[-1] == "L":
            return f"{self._value(base[:-1], position) % 7}L"
        return ""

    def _nth(self, base: str, position: int) -> str:
        word, _, count = base.partition("#")
        value = self._value(word, position) % 7
        if count not in ("1", "2", "3", "4", "5"):
            self._fail(
                "the number after # must be 1-5", position + len(word) + 1, count
            )
        return f"{value}#{count}"

    def _fail(
        self, problem: str, position: int, word: str | None = None, hint: str = ""
    ) -> NoReturn:
        got = ""
        if word is not None:  # as it was written, not in our capitals
            got = f", got {quoted(self.text[position : position + len(word)])}"
        raise RuleError(problem + got + hint, position=position, text=self.text)


def _rising(low: int, high: int, step: int) -> str:
    if low + step > high:
        return str(low)
    return f"{low}-{high}" if step == 1 else f"{low}-{high}/{step}"
