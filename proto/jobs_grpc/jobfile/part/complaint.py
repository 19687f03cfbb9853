"""How a part says what is wrong with a value.

Validators raise complaints in our own words; pydantic carries them up and adds the path
of the key. Two kinds: `complain` is about the value under validation, `complaints` is
about several places below it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from pydantic_core import (
    ErrorDetails,
    InitErrorDetails,
    PydanticCustomError,
    ValidationError,
)

Loc: TypeAlias = tuple[int | str, ...]

KIND: Final = "complaint"
# Enough to recognize a value; a whole script in an error message helps nobody.
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong at `loc`, a path below the value that complains.

    `offset` is where in the text of the value, counted from 0.
    """

    loc: Loc
    message: str
    offset: int | None = None


def complain(message: str, *, offset: int | None = None) -> PydanticCustomError:
    """Return the error to raise about the value under validation."""
    return PydanticCustomError(KIND, "{message}", _context(message, offset))


def complaints(found: Iterable[Complaint]) -> ValidationError:
    """Return the error to raise about several places below the value."""
    details = [_details(complaint) for complaint in found]
    return ValidationError.from_exception_data("job file", details)


def joined(error: ValidationError, found: Iterable[Complaint]) -> ValidationError:
    """Return `error` with further complaints added."""
    details = [_again(known) for known in error.errors(include_url=False)]
    details += [_details(complaint) for complaint in found]
    return ValidationError.from_exception_data("job file", details)


def shown(value: object) -> str:
    """Return a value as a message shows it: JSON, shortened."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return printable(text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "...")


def printable(text: str) -> str:
    """Return the text without lone surrogates, which JSON can spell and UTF-8 cannot."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _context(message: str, offset: int | None) -> dict[str, Any]:
    return {"message": printable(message), "offset": offset}


def _details(complaint: Complaint) -> InitErrorDetails:
    error = complain(complaint.message, offset=complaint.offset)
    return InitErrorDetails(type=error, loc=complaint.loc, input=None)


def _again(known: ErrorDetails) -> InitErrorDetails:
    kind: Any = known["type"]
    if kind == KIND:
        kind = PydanticCustomError(KIND, "{message}", known["ctx"])
    return InitErrorDetails(
        type=kind, loc=known["loc"], input=known["input"], ctx=known.get("ctx", {})
    )
