"""Where a job runs."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from jobs_grpc.jobfile.part.complaint import complain
from jobs_grpc.jobfile.part.names import Labels
from jobs_grpc.jobfile.part.part import Part
from jobs_grpc.jobfile.part.pending import (
    NOT_YET,
    PendingCount,
    PendingDuration,
    PendingList,
)


def _built(strategy: str) -> str:
    if strategy != "any":
        raise complain(f'"{strategy}" {NOT_YET}')
    return strategy


class Targets(Part):
    """Which workers may run the job, and on how many of them it runs."""

    selector: Annotated[
        Labels,
        Field(
            description=(
                "Labels that a worker must have, all of them. Default: none, so that "
                "any worker may run the job."
            )
        ),
    ] = Field(default_factory=dict)
    strategy: Annotated[
        Literal["any", "all"],
        AfterValidator(_built),
        Field(
            description=(
                "any: on one of them, whichever is free first. all is not supported yet."
            ),
            json_schema_extra={"enum": ["any"]},
        ),
    ] = "any"
    if_none: Annotated[
        Literal["wait", "skip"],
        Field(
            description=(
                "What a due time does while no worker is there that could run the job: "
                "it waits for one, or is skipped with the reason no_target."
            )
        ),
    ] = "wait"
    waves: Annotated[PendingList | None, Field(description="Not supported yet.")] = None
    parallel: Annotated[PendingCount, Field(description="Not supported yet.")] = 1
    stop_after_failures: Annotated[
        PendingCount, Field(description="Not supported yet.")
    ] = 1
    hold_offline: Annotated[
        PendingDuration, Field(description="Not supported yet.")
    ] = ""

    @model_validator(mode="before")
    @classmethod
    def _refuse_list(cls, value: object) -> object:
        if isinstance(value, list | tuple):
            raise complain(f"a list of targets {NOT_YET}")
        return value


ANYWHERE: Final = Targets()
"""What a job means that names no targets; made once, for every such job."""
