"""When something that keeps failing is left alone for a while."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import Field, StrictInt, TypeAdapter, WrapValidator, model_validator

from jobs_grpc.jobfile.part.complaint import Complaint, complain, complaints, shown
from jobs_grpc.jobfile.part.names import Name
from jobs_grpc.jobfile.part.part import Part
from jobs_grpc.jobfile.part.quantity import PositiveDuration

# Results kept for a rate; more would be a history, not a breaker.
MOST: Final = 1000

Count: TypeAlias = Annotated[StrictInt, Field(ge=1, le=MOST)]


class Breaker(Part):
    """When something that keeps failing is left alone for a while."""

    name: Annotated[
        Name,
        Field(
            description=(
                "What it stands for, such as a database that several jobs use: jobs of "
                "the namespace that give the same name share it. Default: the job itself."
            )
        ),
    ] = ""
    failures: Annotated[
        Count,
        Field(description="It opens after so many failures in a row. Default: 5."),
    ] = 5
    window: Annotated[
        PositiveDuration,
        Field(description="Only failures this close together count. Default: 5m."),
    ] = "5m"
    percent: Annotated[
        StrictInt | None,
        Field(
            ge=1,
            le=100,
            description=(
                "It also opens when this share of the last `of` attempts within the "
                "window failed. Default: it does not."
            ),
        ),
    ] = None
    of: Annotated[
        Count,
        Field(description="With percent: of how many attempts. Default: 20."),
    ] = 20
    open_for: Annotated[
        PositiveDuration,
        Field(
            description=(
                "How long it lets nothing through; then one attempt, the probe, may try. "
                "Default: 60s."
            )
        ),
    ] = "60s"
    successes: Annotated[
        Count,
        Field(description="It closes after so many probes succeeded. Default: 3."),
    ] = 3
    exit_codes: Annotated[
        tuple[Annotated[StrictInt, Field(ge=1, le=255)], ...],
        Field(
            description=(
                "Only these exit codes are failures; other ends of a failed attempt say "
                "nothing. Default: every failure counts."
            )
        ),
    ] = ()
    scope: Annotated[
        Literal["all", "worker"],
        Field(
            description=(
                "worker: each worker has one of its own, so that work goes to another "
                "worker. Default: all."
            )
        ),
    ] = "all"

    @model_validator(mode="after")
    def _of_needs_percent(self) -> Breaker:
        if self.percent is None and "of" in self.model_fields_set and self.of != 20:
            message = "has no meaning without percent"
            raise complaints([Complaint(("of",), message)])
        return self


def _breakers(value: object, _inner: Any) -> tuple[Breaker, ...]:
    """Read one breaker or a list of them; the paths of problems are as written."""
    if isinstance(value, Mapping):
        return (Breaker.model_validate(value),)
    if not isinstance(value, list | tuple):
        raise complain(f"must be an object or a list of objects, got {shown(value)}")
    found = _LIST.validate_python(tuple(value))
    names = [(one.name, one.scope) for one in found]
    twice = [
        Complaint((index,), "is given twice; one name, one breaker")
        for index, name in enumerate(names)
        if name in names[:index]
    ]
    if twice:
        raise complaints(twice)
    return found


_LIST: Final[TypeAdapter[tuple[Breaker, ...]]] = TypeAdapter(tuple[Breaker, ...])

# Always a tuple; the other form is for the schema.
Breakers = Annotated[Breaker | tuple[Breaker, ...], WrapValidator(_breakers)]
