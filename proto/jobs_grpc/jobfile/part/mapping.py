"""Objects whose keys and values are texts of the author: labels, variables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from jobs_grpc.jobfile.part.complaint import Complaint, complain, complaints, shown

TEXTS_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": {"type": "string"},
}


def texts(value: object, fault: Callable[[str, str], str]) -> dict[str, str]:
    """Return an object of texts; `fault` says what is wrong with a key and its text.

    A number is not taken for text: `1.10` would become 1.1, and 0755 become 755.
    """
    if not isinstance(value, dict):
        raise complain(f"must be an object, got {shown(value)}")
    found = []
    for key, text in value.items():
        if not isinstance(key, str):
            found.append(Complaint((str(key),), "must have text as its name"))
        elif not isinstance(text, str):
            found.append(Complaint((key,), not_text(text)))
        elif wrong := fault(key, text):
            found.append(Complaint((key,), wrong))
    if found:
        raise complaints(found)
    return value


def not_text(value: object) -> str:
    """Return the message about a value that should be text."""
    hint = "; put it in quotes" if isinstance(value, int | float) else ""
    return f"must be text, got {shown(value)}{hint}"
