"""Enums whose values are the words that people read and type."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Word(StrEnum):
    """A word of the contract; one that only a newer server knows is `unrecognized`."""

    @classmethod
    def of(cls, word: str) -> Self:
        """Return the member for a word, so that old clients survive new servers."""
        try:
            return cls(word)
        except ValueError:
            return cls("unrecognized")
