"""After how many lost workers a job is taken out of service."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from pydantic import PlainValidator, WithJsonSchema

from jobs_grpc.jobfile.part.complaint import complain, shown

_MOST: Final = 100


def _quarantine(value: object) -> int:
    """Return the number, or `False` as it is: both are what they are written as."""
    if value is False:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MOST:
        return value
    raise complain(f"must be false or a number from 1 to {_MOST}, got {shown(value)}")


Quarantine: TypeAlias = Annotated[
    int,
    PlainValidator(_quarantine),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": False},
                {"type": "integer", "minimum": 1, "maximum": _MOST},
            ]
        }
    ),
]
