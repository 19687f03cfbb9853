"""Which jobs must have succeeded before a job runs after them."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

from pydantic import TypeAdapter, WrapValidator

from jobs_grpc.jobfile.part.complaint import Complaint, complain, complaints, shown
from jobs_grpc.jobfile.part.names import Name

SCHEDULE_NAME: Final = "depends_on"
"""What the schedule that the key makes is called in listings and switches."""

# One end looks at all of them; a job that waits for more wants a job in between.
MOST: Final = 100


def _dependencies(value: object, _inner: Any) -> tuple[str, ...]:
    """Read one name or a list of them, in the order of the alphabet."""
    if isinstance(value, str):
        return (_ONE.validate_python(value),)
    if not isinstance(value, list | tuple):
        raise complain(
            f"must be the name of a job or a list of names, got {shown(value)}"
        )
    if len(value) > MOST:
        raise complain(f"is at most {MOST} jobs, got {len(value)}")
    names = _LIST.validate_python(tuple(value))
    twice = [
        Complaint((index,), "is given twice")
        for index, name in enumerate(names)
        if name in names[:index]
    ]
    if twice:
        raise complaints(twice)
    # Their order means nothing.
    return tuple(sorted(names))


_ONE: Final[TypeAdapter[str]] = TypeAdapter(Name)
_LIST: Final[TypeAdapter[tuple[str, ...]]] = TypeAdapter(tuple[Name, ...])

# Always a tuple; the other form is for the schema.
Dependencies: TypeAlias = Annotated[
    Name | tuple[Name, ...], WrapValidator(_dependencies)
]
