"""What a person is told who wrote a schedule that cannot be read."""

from __future__ import annotations

from collections.abc import Iterable

_SHOWN = 40
"""Characters of a bad value that an error repeats; the rest helps nobody."""


class RuleError(ValueError):
    """A schedule, duration or instant that cannot be read, and why.

    `message` is a sentence without the position; `position` is the 0-based offset of
    the offending character in `text`, None where no single place is at fault; `field` is
    the key of a schedule object, None for a text on its own.
    """

    def __init__(
        self,
        message: str,
        *,
        position: int | None = None,
        text: str = "",
        field: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.position = position
        self.text = text
        self.field = field

    def __str__(self) -> str:
        if self.position is None:
            return self.message
        return f"{self.message} (at position {self.position})"

    def inside(self, text: str, offset: int) -> RuleError:
        """Return the same error, seen from `text` that holds ours at `offset`."""
        position = offset if self.position is None else self.position + offset
        return RuleError(self.message, position=position, text=text, field=self.field)

    def under(self, field: str) -> RuleError:
        """Return the same error as one of the key `field`, unless it names one."""
        return RuleError(
            self.message,
            position=self.position,
            text=self.text,
            field=self.field or field,
        )


def quoted(value: object) -> str:
    """Return a value as errors show it: in double quotes, cut when long."""
    text = str(value)
    return f'"{text}"' if len(text) <= _SHOWN else f'"{text[:_SHOWN]}..."'


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `: did you mean "x"?` for the nearest known word, or an empty text."""
    import difflib  # costs 10 ms, and most programs never need it

    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1)
    return f': did you mean "{by_lower[near[0]]}"?' if near else ""
