"""Records as plain JSON values, read back with every field checked.

The annotations of a dataclass are its schema: `Form(Record)` knows how to write one and
how to read one from a peer or a disk that may be wrong. Fields that have their default
are not written, and unknown fields are ignored when read, so that both sides may grow.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from typing import Any, Final, Generic, TypeVar

Record = TypeVar("Record")


class MalformedError(ValueError):
    """A value has not the form that its record needs."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How one kind of field is read, and written when it is not plain already."""

    read: Callable[[object], Any]
    write: Callable[[Any], object] | None = None
    # The type that a value may have to be taken as it is, without a call of `read`.
    kind: type | None = None


def _plain(kind: type, name: str) -> Shape:
    def read(value: object) -> object:
        if type(value) is not kind:
            raise MalformedError(f"not {name}: {value!r:.80}")
        return value

    return Shape(read, kind=kind)


def _number(value: object) -> float:
    if type(value) not in (int, float):
        raise MalformedError(f"not a number: {value!r:.80}")
    return float(value)  # type: ignore[arg-type]


def _strings_by_name(value: object) -> dict[str, str]:
    if type(value) is not dict or not all(type(item) is str for item in value.values()):
        raise MalformedError(f"not a table of strings: {value!r:.80}")
    return value


def _bytes(value: object) -> bytes:
    if type(value) is not str:
        raise MalformedError(f"not base64: {value!r:.80}")
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise MalformedError(f"not base64: {error}") from None


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


# By annotation; `X | None` and `tuple[X, ...]` are made from the shape of X.
SHAPES: Final[dict[str, Shape]] = {
    "int": _plain(int, "an integer"),
    "str": _plain(str, "a string"),
    "bool": _plain(bool, "true or false"),
    "float": Shape(_number, kind=float),
    "bytes": Shape(_bytes, _base64),
    "Mapping[str, str]": Shape(_strings_by_name, dict),
}


def _optional(shape: Shape) -> Shape:
    read, write = shape.read, shape.write
    return Shape(
        lambda value: None if value is None else read(value),
        write and (lambda value: None if value is None else write(value)),
        shape.kind,
    )


def _many(shape: Shape) -> Shape:
    read, write = shape.read, shape.write

    def read_all(value: object) -> tuple[Any, ...]:
        if type(value) is not list:
            raise MalformedError(f"not a list: {value!r:.80}")
        return tuple([read(item) for item in value])

    return Shape(read_all, write and (lambda items: [write(item) for item in items]))


def _shape(annotation: str) -> Shape:
    known = SHAPES.get(annotation)
    if known is not None:
        return known
    if annotation.endswith(" | None"):
        return _optional(_shape(annotation.removesuffix(" | None")))
    if annotation.startswith("tuple[") and annotation.endswith(", ...]"):
        return _many(_shape(annotation[len("tuple[") : -len(", ...]")]))
    raise TypeError(f"no plain form is known for {annotation}")


class Form(Generic[Record]):
    """The plain form of one frozen dataclass; making it registers it for nesting."""

    def __init__(self, record: type[Record]) -> None:
        self.record = record
        schema = fields(record)  # type: ignore[arg-type]
        self._shapes = {item.name: _shape(str(item.type)) for item in schema}
        self._required = frozenset(
            item.name
            for item in schema
            if item.default is MISSING and item.default_factory is MISSING
        )
        self._writers = [
            (item.name, item.default, self._shapes[item.name].write) for item in schema
        ]
        # Whether a record of this kind says nothing but that it is one.
        self.is_bare = not schema
        SHAPES[record.__name__] = Shape(self.read, self.write)

    def write(self, record: Record) -> dict[str, object]:
        """Return the record as values that JSON knows; what is as usual is left out."""
        plain: dict[str, object] = {}
        for name, usual, write in self._writers:
            value = getattr(record, name)
            if value is not usual and value != usual:
                plain[name] = value if write is None else write(value)
        return plain

    def read(self, plain: object) -> Record:
        """Return the record that `plain` describes, or raise `MalformedError`."""
        if type(plain) is not dict:
            raise MalformedError(f"not a table: {plain!r:.80}")
        if not self._required <= plain.keys():
            absent = ", ".join(sorted(self._required - plain.keys()))
            raise MalformedError(f"{self.record.__name__} lacks {absent}")
        values: dict[str, Any] = {}
        for name, value in plain.items():
            shape = self._shapes.get(name)
            if shape is not None:
                is_ready = type(value) is shape.kind
                values[name] = value if is_ready else _read_field(name, shape, value)
        return self.record(**values)


def _read_field(name: str, shape: Shape, value: object) -> object:
    try:
        return shape.read(value)
    except MalformedError as error:
        raise MalformedError(f"{name}: {error}") from None
