"""Limits on the phases of a run, besides the run time of one attempt."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from jobs_grpc.jobfile.part.part import Part
from jobs_grpc.jobfile.part.pending import PendingDuration
from jobs_grpc.jobfile.part.quantity import PositiveDuration, microseconds


class Timeouts(Part):
    """Each is off unless it is given."""

    queue: Annotated[
        PositiveDuration,
        Field(description="How long it may wait for a worker, each time it waits."),
    ] = ""
    total: Annotated[
        PositiveDuration,
        Field(
            description=(
                "From due to done, with everything between: waits, attempts, delays."
            )
        ),
    ] = ""
    silence: Annotated[
        PositiveDuration,
        Field(
            description=(
                "How long an attempt may print nothing before it is ended. Not for "
                "functions."
            )
        ),
    ] = ""
    connect: Annotated[PendingDuration, Field(description="Not supported yet.")] = ""

    @property
    def queue_us(self) -> int | None:
        return microseconds(self.queue) if self.queue else None

    @property
    def total_us(self) -> int | None:
        return microseconds(self.total) if self.total else None

    @property
    def silence_us(self) -> int | None:
        return microseconds(self.silence) if self.silence else None
