"""Pages of listings: how many entries one has, and where the next begins.

A token is opaque to clients. What it holds is what the last entry is sorted by, never a
position: a listing goes on at the right place whatever came or went meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, Protocol

from jobs_grpc.controlplane.core.state.errors import InvalidError
from jobs_grpc.wire.channel import DEFAULT_PAGE, MAX_PAGE

# Numbers beyond it would not fit the integers of a database.
_FAR: Final = 2**62


class Numbered(Protocol):
    """A row of a listing that is sorted by number, the newest first."""

    @property
    def seq(self) -> int:
        """The number."""
        ...


def page_size(asked: int) -> int:
    """Return how many entries a page has: what was asked for, within bounds."""
    return min(asked, MAX_PAGE) if asked > 0 else DEFAULT_PAGE


def page_token(*parts: object) -> str:
    """Return where a listing goes on."""
    return json.dumps(parts)


def start(token: str, *types: type) -> tuple[Any, ...] | None:
    """Return the parts of a page token, one of each type; `None` at the beginning."""
    if not token:
        return None
    try:
        parts = json.loads(token)
    except (ValueError, RecursionError):
        parts = None
    if not isinstance(parts, list) or not _are_parts(parts, types):
        raise InvalidError(
            "the page token is not one of this server",
            hint="begin the listing again without it",
            field="page_token",
        )
    return tuple(parts)


def before(token: str) -> int | None:
    """Return the number that a listing by number goes on before; `None` at its start."""
    parts = start(token, int)
    return None if parts is None else int(parts[0])


def next_by_seq(rows: Sequence[Numbered], limit: int) -> str:
    """Return the token of the page after `rows`; empty where they are the last."""
    return page_token(rows[-1].seq) if len(rows) == limit else ""


def _are_parts(parts: list[Any], types: Sequence[type]) -> bool:
    return len(parts) == len(types) and all(
        type(part) is wanted and _is_part(part)
        for part, wanted in zip(parts, types, strict=True)
    )


def _is_part(part: Any) -> bool:
    return part.isprintable() if isinstance(part, str) else bool(abs(part) < _FAR)
