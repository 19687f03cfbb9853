"""Keys of the job file whose behavior is not built yet.

Their shape is read and checked, so that a file written for a later release gets useful
answers, and then they are refused: a key that is accepted and does nothing would be a
promise silently broken. Building one of them means moving it out of this module.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, NoReturn, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    StrictInt,
    WithJsonSchema,
)

from jobs_grpc.jobfile.part.complaint import complain, shown
from jobs_grpc.jobfile.part.part import Part
from jobs_grpc.jobfile.part.quantity import PositiveDuration, Size
from jobs_grpc.jobfile.part.text import Stated

NOT_YET: Final = "is not supported yet"

Count: TypeAlias = Annotated[StrictInt, Field(ge=1)]


def _amount(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return value
    raise complain(f"must be a number larger than zero, got {shown(value)}")


Amount: TypeAlias = Annotated[float, PlainValidator(_amount)]


def refuse(_value: object) -> NoReturn:
    """Refuse a well-formed value of a key that is not built yet."""
    raise complain(NOT_YET)


def _one_or_more(value: object) -> object:
    return [value] if isinstance(value, str) else value


class Artifacts(Part):
    """Which files are kept after a run."""

    paths: Annotated[tuple[Stated, ...], BeforeValidator(_one_or_more)] = ()
    keep: PositiveDuration = ""


class Notifications(Part):
    """Who is told how a run ended."""

    on_failure: Annotated[tuple[Stated, ...], BeforeValidator(_one_or_more)] = ()
    on_success: Annotated[tuple[Stated, ...], BeforeValidator(_one_or_more)] = ()
    channels: Annotated[tuple[Stated, ...], BeforeValidator(_one_or_more)] = ()


class Retention(Part):
    """How long finished executions are kept."""

    executions: PositiveDuration = ""
    failed: PositiveDuration = ""


def _steps(value: object) -> NoReturn:
    if not isinstance(value, dict | list):
        raise complain(f"must be an object or a list of steps, got {shown(value)}")
    refuse(value)


# To an editor, a key that is refused is a key that has no valid value.
_REFUSED = WithJsonSchema({"not": {}})

PendingText = Annotated[Stated, AfterValidator(refuse), _REFUSED]
PendingSize = Annotated[Size, AfterValidator(refuse), _REFUSED]
PendingAmount = Annotated[Amount, AfterValidator(refuse), _REFUSED]
PendingCount = Annotated[Count, AfterValidator(refuse), _REFUSED]
PendingDuration = Annotated[PositiveDuration, AfterValidator(refuse), _REFUSED]
PendingAny = Annotated[None, PlainValidator(refuse), _REFUSED]
PendingList = Annotated[list[Any], AfterValidator(refuse), _REFUSED]
PendingSteps = Annotated[None, PlainValidator(_steps), _REFUSED]
PendingArtifacts = Annotated[Artifacts, AfterValidator(refuse), _REFUSED]
PendingNotifications = Annotated[Notifications, AfterValidator(refuse), _REFUSED]
PendingRetention = Annotated[Retention, AfterValidator(refuse), _REFUSED]
