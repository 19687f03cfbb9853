"""How many runs that share something may run at once."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from pydantic import Field, StrictInt, model_validator

from jobs_grpc.jobfile.part.part import Part, stated
from jobs_grpc.jobfile.part.text import Stated

# More than any worker has slots; and a typing error more often than meant.
MOST: Final = 100_000

Count: TypeAlias = Annotated[StrictInt, Field(ge=1, le=MOST)]


class Concurrency(Part):
    """How many executions that share a key may run at once."""

    key: Annotated[
        Stated,
        Field(
            description=(
                "Executions of one key count together, whatever their job; {{name}} is "
                "replaced. Default: the job itself."
            ),
            max_length=1024,
        ),
    ] = ""
    max: Annotated[
        Count | None,
        Field(
            description=(
                "How many of the key may run at once, wherever. Default: 1, or any "
                "number where per_worker is given."
            )
        ),
    ] = None
    per_worker: Annotated[
        Count | None,
        Field(
            description=(
                "How many of the key may run at once on one worker. Default: any number."
            )
        ),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _from_number(cls, value: object) -> object:
        is_number = isinstance(value, int) and not isinstance(value, bool)
        return {"max": value} if is_number else value

    @model_validator(mode="after")
    def _settle(self) -> Concurrency:
        if self.max == 1 and self.per_worker is None:
            self.__dict__["max"] = None
        return self

    @property
    def limit(self) -> int | None:
        """How many may run at once in all; `None` for any number."""
        return self.max or (1 if self.per_worker is None else None)

    def canonical(self) -> object:
        if not self.key and self.per_worker is None:
            return self.limit
        return stated(self)
