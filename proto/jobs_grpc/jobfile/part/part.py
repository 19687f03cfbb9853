"""What every object inside a job document has in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final, cast

from pydantic import BaseModel, ConfigDict

_SIMPLE: Final = frozenset({str, int, float, bool, type(None)})


class Part(BaseModel):
    """A frozen object of the job file that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def canonical(self) -> object:
        """Return the JSON value that means the same and says no more than needed."""
        return stated(self)


def stated(part: BaseModel) -> dict[str, object]:
    """Return the keys of a model that differ from their defaults, in its own order."""
    given = part.model_fields_set
    values = part.__dict__
    return {
        key: plain(values[key])
        for key, default in _defaults(type(part)).items()
        if key in given and values[key] != default
    }


@cache
def _defaults(model: type[BaseModel]) -> Mapping[str, object]:
    return {
        key: field.get_default(call_default_factory=True, validated_data={})
        for key, field in model.model_fields.items()
    }


def plain(value: object) -> object:
    """Return a value as JSON has it; objects in the order of their keys."""
    # The usual kinds first, by identity: asking a model's metaclass costs most of it all.
    kind = type(value)
    if kind in _SIMPLE:
        return value
    if kind is list or kind is tuple:
        return [plain(element) for element in cast("Sequence[object]", value)]
    if isinstance(value, Mapping):
        return {key: plain(value[key]) for key in sorted(value)}
    if isinstance(value, Part):
        return value.canonical()
    return value
