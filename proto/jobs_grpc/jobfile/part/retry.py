"""When a failed attempt is tried again.

`3`, `"3 times"` and `{max_retries: 3}` mean the same, and the number is the canonical
form. A list of delays says both how often and when.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import Field, PlainValidator, StrictInt, model_validator

from jobs_grpc.jobfile.part.complaint import Complaint, complain, complaints, shown
from jobs_grpc.jobfile.part.part import Part, stated
from jobs_grpc.jobfile.part.quantity import Duration, PositiveDuration, microseconds

Cause: TypeAlias = Literal["exit_code", "timeout", "lost", "signal"]

DEFAULT_RETRIES: Final = 3
MOST_RETRIES: Final = 1000

_RETRIES: Final = re.compile(r"[0-9]{1,6}")
_CAUSES: Final[tuple[Cause, ...]] = ("exit_code", "timeout", "lost", "signal")
# What shapes the delays of each back-off.
_SHAPES: Final = {
    "none": (),
    "fixed": ("initial", "jitter"),
    "linear": ("initial", "max", "jitter"),
    "exponential": ("initial", "factor", "max", "jitter"),
}
_SHAPING: Final = ("backoff", "initial", "factor", "max")


def _amount(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 1:
        return value
    raise complain(f"must be a number of at least 1, got {shown(value)}")


Factor: TypeAlias = Annotated[float, PlainValidator(_amount)]
ExitCode: TypeAlias = Annotated[StrictInt, Field(ge=1, le=255)]


class Retry(Part):
    """How often and when a failed attempt is tried again."""

    max_retries: Annotated[
        StrictInt | None,
        Field(
            ge=0,
            le=MOST_RETRIES,
            description=(
                "How many attempts may follow the first. Default: 3, or as many as "
                "there are delays."
            ),
        ),
    ] = None
    backoff: Annotated[
        Literal["none", "fixed", "linear", "exponential"],
        Field(
            description=(
                "How the delay grows: none (no delay), fixed (always `initial`), linear "
                "(n times `initial`), exponential (times `factor` each time). Default: "
                "exponential."
            )
        ),
    ] = "exponential"
    initial: Annotated[
        PositiveDuration, Field(description="The first delay. Default: 30s.")
    ] = "30s"
    factor: Annotated[
        Factor, Field(description="What each delay is multiplied by. Default: 2.")
    ] = 2
    max: Annotated[
        PositiveDuration, Field(description="The longest delay. Default: 10m.")
    ] = "10m"
    jitter: Annotated[
        Literal["none", "full"] | None,
        Field(
            description=(
                "full: any time up to the delay, so that jobs that failed together do "
                "not come back together. none: the delay itself. Default: full for an "
                "exponential delay, else none."
            )
        ),
    ] = None
    on: Annotated[
        tuple[Cause, ...],
        Field(
            description=(
                "What is tried again: exit_code, timeout, signal (it was ended by one), "
                "lost (its worker vanished). Default: all of them."
            )
        ),
    ] = ()
    exit_codes: Annotated[
        tuple[ExitCode, ...],
        Field(
            description="Which exit codes are tried again. Default: all but 0.",
            max_length=255,
        ),
    ] = ()
    delays: Annotated[
        tuple[Duration, ...],
        Field(
            description=(
                "The delay before each further attempt, instead of a back-off; the last "
                "one counts for the rest."
            ),
            max_length=MOST_RETRIES,
        ),
    ] = ()

    @model_validator(mode="before")
    @classmethod
    def _from_short_form(cls, value: object) -> object:
        if isinstance(value, int) and not isinstance(value, bool):
            return {"max_retries": value}
        if not isinstance(value, str):
            return value
        words = value.split()
        if (
            words
            and _RETRIES.fullmatch(words[0])
            and words[1:] in (["times"], ["times", "with", "exponential_backoff"])
        ):
            return {"max_retries": int(words[0])}
        raise complain(f'must be a number or "3 times", got {shown(value)}')

    @model_validator(mode="after")
    def _settle(self) -> Self:
        found = list(self._meaningless())
        if self.exit_codes and self.on and "exit_code" not in self.on:
            message = 'have no meaning while "on" leaves out exit_code'
            found.append(Complaint(("exit_codes",), message))
        if found:
            raise complaints(found)
        values = self.__dict__
        named = set(self.on)
        values["on"] = (
            ()
            if named == set(_CAUSES)
            else tuple(one for one in _CAUSES if one in named)
        )
        values["exit_codes"] = tuple(sorted(set(self.exit_codes)))
        if self.max_retries == (len(self.delays) or DEFAULT_RETRIES):
            values["max_retries"] = None
        if self.jitter == self._implied_jitter:
            values["jitter"] = None
        return self

    def _meaningless(self) -> list[Complaint]:
        given = self.model_fields_set
        if self.delays:
            return [
                Complaint((key,), 'has no meaning beside "delays"')
                for key in _SHAPING
                if key in given
            ]
        shapes = _SHAPES[self.backoff]
        return [
            Complaint((key,), f'has no meaning with the backoff "{self.backoff}"')
            for key in ("initial", "factor", "max", "jitter")
            if key in given and key not in shapes
        ]

    @property
    def _implied_jitter(self) -> str:
        is_growing = self.backoff == "exponential" and not self.delays
        return "full" if is_growing else "none"

    @property
    def limit(self) -> int:
        """How many attempts may follow the first."""
        if self.max_retries is not None:
            return self.max_retries
        return len(self.delays) or DEFAULT_RETRIES

    @property
    def has_full_jitter(self) -> bool:
        return (self.jitter or self._implied_jitter) == "full"

    @property
    def causes(self) -> frozenset[str]:
        """What is tried again, after all defaults."""
        return frozenset(self.on or _CAUSES)

    @property
    def delays_us(self) -> tuple[int, ...]:
        return tuple(microseconds(one) for one in self.delays)

    def canonical(self) -> object:
        said: dict[str, Any] = stated(self)
        return said if set(said) - {"max_retries"} else self.limit
