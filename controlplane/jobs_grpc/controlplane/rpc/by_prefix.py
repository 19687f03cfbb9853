"""What people name by the beginning of its id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, TypeVar

from jobs_grpc.controlplane.core.state.errors import (
    AmbiguousIdError,
    InvalidError,
    RefusedError,
)

# Shorter prefixes name something by accident.
SHORTEST_PREFIX: Final = 4
# How many a refusal names of those that are meant.
_NAMED: Final = 3


class Row(Protocol):
    """A row that has an id."""

    @property
    def id(self) -> str:
        """The id."""
        ...


R_co = TypeVar("R_co", bound=Row, covariant=True)


class Find(Protocol[R_co]):
    """Look up rows whose id begins with `prefix`; a method of the store."""

    async def __call__(
        self, *, namespace: str, prefix: str, limit: int
    ) -> Sequence[R_co]:
        """Return at most `limit` of them, in the order of ids."""
        ...


async def the_one(
    namespace: str,
    prefix: str,
    find: Find[R_co],
    *,
    what: str,
    field: str,
    missing: type[RefusedError],
) -> R_co:
    """Return the one row whose id begins with `prefix`.

    `what` is a word of people and the command that lists such rows, `field` where the
    request has the prefix.
    """
    wanted = prefix.strip().lower()
    if len(wanted) < SHORTEST_PREFIX:
        raise InvalidError(
            f'"{prefix}" is too short to name one {what}',
            hint=f"give at least {SHORTEST_PREFIX} characters of its id",
            field=field,
        )
    found = await find(namespace=namespace, prefix=wanted, limit=_NAMED + 1)
    if not found:
        raise missing(
            f'{what} "{prefix}" not found in namespace "{namespace}"',
            hint=f"`jobs-grpc {what} list` shows the {what}s",
        )
    if len(found) > 1:
        names = ", ".join(row.id for row in found[:_NAMED])
        more = ", …" if len(found) > _NAMED else ""
        raise AmbiguousIdError(
            f'"{prefix}" is the beginning of several {what}s',
            hint=f"which one: {names}{more}",
        )
    return found[0]
