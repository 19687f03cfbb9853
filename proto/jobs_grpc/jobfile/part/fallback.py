"""What runs once when a job has failed for good."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from jobs_grpc.jobfile.part.complaint import complain
from jobs_grpc.jobfile.part.names import FunctionName, Name
from jobs_grpc.jobfile.part.part import Part


class Fallback(Part):
    """Another job of the same workspace, or a function."""

    job: Annotated[
        Name | None,
        Field(description="The name of a job in the same workspace."),
    ] = None
    function: Annotated[
        FunctionName | None,
        Field(
            description=(
                "The name of a Python function that workers offer; the params of the "
                "failed run are its arguments."
            )
        ),
    ] = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.job is None) == (self.function is None):
            raise complain("must have one of `job` and `function`")
        return self
