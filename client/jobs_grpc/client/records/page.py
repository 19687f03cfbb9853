"""A part of a long list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar


class Record(Protocol):
    """Anything with a JSON form."""

    def to_json(self) -> dict[str, Any]: ...


RecordT = TypeVar("RecordT", bound=Record)


# Without slots, which break `Page[Job](...)`: python/cpython#90562.
@dataclass(frozen=True, kw_only=True)
class Page(Generic[RecordT]):
    """Some records in order, and where the next ones begin; empty token: no more."""

    data: tuple[RecordT, ...]
    next_page_token: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "data": [record.to_json() for record in self.data],
            "next_page_token": self.next_page_token or None,
        }
