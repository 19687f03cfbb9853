"""How runs of one job meet each other, end early, and how much they may say.

Each of these keys may be written short, as a word, or long, as an object; the short
form is the canonical one where it says enough.
"""

from __future__ import annotations

import signal
from typing import Annotated, Final, Literal, Self

from pydantic import (
    Field,
    PlainValidator,
    StrictInt,
    WithJsonSchema,
    model_validator,
)

from jobs_grpc.jobfile.part.complaint import Complaint, complain, complaints, shown
from jobs_grpc.jobfile.part.part import Part, stated
from jobs_grpc.jobfile.part.pending import PendingAmount, PendingSize
from jobs_grpc.jobfile.part.quantity import Duration, PositiveDuration, Size

SIGNALS: Final = ("TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "KILL")
"""What a job may be asked to stop with; everything else is no request to stop."""

# As many as an hour of a schedule that fires every five minutes, with room.
DEFAULT_CATCH_UPS: Final = 10
DEFAULT_QUEUED: Final = 10


class Overlap(Part):
    """What happens to a due time while an earlier execution of the job still runs."""

    policy: Annotated[
        Literal["skip", "queue", "allow", "replace"],
        Field(
            description=(
                "skip: the due time is skipped, and the decision says why. "
                "queue: it waits until the others have ended. "
                "allow: it starts beside the others. "
                "replace: the others are ended first, then it starts."
            ),
        ),
    ] = "skip"
    max: Annotated[
        StrictInt | None,
        Field(
            ge=1,
            description=(
                "With allow: how many may run at once; without it there is no limit. "
                "With queue: how many may wait behind the one that runs; "
                f"default {DEFAULT_QUEUED}."
            ),
        ),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _from_word(cls, value: object) -> object:
        return {"policy": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _settle(self) -> Self:
        if self.max is not None and self.policy not in {"allow", "queue"}:
            message = f'has no meaning with the policy "{self.policy}"'
            raise complaints([Complaint(("max",), message)])
        if self.policy == "queue" and self.max == DEFAULT_QUEUED:
            self.__dict__["max"] = None
        return self

    @property
    def queued(self) -> int:
        """How many due times may wait behind an execution."""
        return (self.max or DEFAULT_QUEUED) if self.policy == "queue" else 0

    def canonical(self) -> object:
        return self.policy if self.max is None else stated(self)


class CatchUp(Part):
    """What happens to due times that passed while nothing could decide them."""

    mode: Annotated[
        Literal["none", "latest", "all"],
        Field(
            description=(
                "none: all are skipped. latest: the most recent one is started. "
                "all: each one is started, up to `max`."
            )
        ),
    ] = "latest"
    max: Annotated[
        StrictInt | None,
        Field(
            ge=1,
            le=1000,
            description=(
                "With all: how many due times are started at most; "
                f"default {DEFAULT_CATCH_UPS}."
            ),
        ),
    ] = None
    window: Annotated[
        PositiveDuration,
        Field(
            description=(
                "Due times that are longer ago than this are skipped. Default 1h."
            )
        ),
    ] = "1h"

    @model_validator(mode="before")
    @classmethod
    def _from_word(cls, value: object) -> object:
        return {"mode": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _settle(self) -> Self:
        found = []
        if self.max is not None and self.mode != "all":
            found.append(("max", self.mode))
        if self.mode == "none" and "window" in self.model_fields_set:
            found.append(("window", self.mode))
        if found:
            raise complaints(
                Complaint((key,), f'has no meaning with the mode "{mode}"')
                for key, mode in found
            )
        if self.max == DEFAULT_CATCH_UPS:
            self.__dict__["max"] = None
        return self

    @property
    def limit(self) -> int:
        """How many due times are started at most after a downtime."""
        if self.mode == "all":
            return self.max or DEFAULT_CATCH_UPS
        return 1 if self.mode == "latest" else 0

    def canonical(self) -> object:
        if self.max is None and self.window == "1h":
            return self.mode
        return {"mode": self.mode, **stated(self)}


def _signal(value: object) -> str:
    if isinstance(value, str):
        name = value.upper().removeprefix("SIG")
        if name in SIGNALS:
            return name
    hint = ""
    if isinstance(value, int) and value in {
        getattr(signal, f"SIG{n}") for n in SIGNALS
    }:
        hint = f'; write "{signal.Signals(value).name.removeprefix("SIG")}"'
    raise complain(f"must be one of {', '.join(SIGNALS)}, got {shown(value)}{hint}")


class Cancel(Part):
    """How a run is asked to stop, and how long it may take."""

    signal: Annotated[
        str,
        PlainValidator(_signal),
        WithJsonSchema({"enum": list(SIGNALS)}),
        Field(description="Sent first, to the whole process tree. Default TERM."),
    ] = "TERM"
    grace: Annotated[
        Duration,
        Field(
            description=(
                "How long after the signal what is left gets killed. Default 10s."
            )
        ),
    ] = "10s"


class Limits(Part):
    """How much a run may use."""

    output: Annotated[
        Size,
        Field(
            description=(
                "How much output is stored of one attempt: the first and the last part, "
                "with a mark where something was left out. Default 64MiB."
            )
        ),
    ] = "64MiB"
    memory: Annotated[PendingSize, Field(description="Not supported yet.")] = ""
    cpu: Annotated[PendingAmount, Field(description="Not supported yet.")] = 0
