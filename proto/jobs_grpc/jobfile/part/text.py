"""Texts that are handed to the operating system: arguments, environment, paths.

The limits are Linux's: no text may hold a NUL, and no single argument or environment
string may exceed 128 KiB with its closing NUL (`MAX_ARG_STRLEN`). What breaks them could
never start, so it is refused while the author is still looking.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, PlainValidator, WithJsonSchema

from jobs_grpc.jobfile.part.complaint import Complaint, complain, complaints, shown
from jobs_grpc.jobfile.part.mapping import TEXTS_SCHEMA, not_text, texts

LONGEST_ARGUMENT: Final = 128 * 1024 - 1

RESERVED: Final = re.compile(r"JOB_NAME|WORKSPACE_ID|JOBS_.*", re.DOTALL)
"""Variables that every run is given; a job cannot change what they say."""

_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")

BUILT_IN: Final = {
    "workspace_name": "name of the workspace",
    "job_name": "name of the job",
    "namespace": "namespace of the job",
}
"""Placeholders that always have a value, and what it is."""


def text_fault(text: str, *, limit: int | None = LONGEST_ARGUMENT) -> str:
    """Return why a program cannot be given `text`, or nothing."""
    if "\0" in text:
        return "must not hold a NUL character"
    try:
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError:
        return "must be valid Unicode text"
    if limit is not None and size > limit:
        return f"must be at most 128 KiB, got {size} bytes"
    return ""


def _text(text: str) -> str:
    if fault := text_fault(text, limit=None):
        raise complain(fault)
    return text


def _stated(text: str) -> str:
    if not text.strip():
        raise complain("must not be empty")
    return _text(text)


def _argument(text: str) -> str:
    if fault := text_fault(text):
        raise complain(fault)
    return text


def _command(value: object) -> str | tuple[str, ...]:
    """Read a shell command (text) or an argument vector (list of texts)."""
    if isinstance(value, str):
        if not value.strip():
            raise complain("must not be empty")
        return _argument(value)
    if not isinstance(value, list | tuple):
        raise complain(f"must be text or a list of texts, got {shown(value)}")
    if not value:
        raise complain("must name a program, got an empty list")
    if found := _vector_complaints(value):
        raise complaints(found)
    return tuple(value)


def _vector_complaints(vector: list[object] | tuple[object, ...]) -> list[Complaint]:
    found = []
    for index, element in enumerate(vector):
        if not isinstance(element, str):
            found.append(Complaint((index,), not_text(element)))
        elif fault := text_fault(element):
            found.append(Complaint((index,), fault))
        elif index == 0 and not element.strip():
            found.append(Complaint((index,), "must name a program"))
    return found


def _environment(value: object) -> dict[str, str]:
    return texts(value, variable_fault)


def variable_fault(name: str, value: str) -> str:
    """Return why a job cannot be given this environment variable, or nothing."""
    if RESERVED.fullmatch(name):
        return "is set for every job and cannot be overridden"
    if not name:
        return "must have a name"
    if "=" in name:
        return 'must not have "=" in its name'
    return text_fault(f"{name}={value}")


def _variables(value: object) -> dict[str, str]:
    return texts(value, _placeholder_fault)


def _placeholder_fault(name: str, value: str) -> str:
    return placeholder_name_fault(name) or text_fault(value)


def placeholder_name_fault(name: str) -> str:
    """Return why an author cannot give a value this name, or nothing."""
    if name in BUILT_IN:
        return f"is built in; its value is the {BUILT_IN[name]}"
    if not _IDENTIFIER.fullmatch(name):
        return (
            "must have a name of 1 to 64 letters, digits and underscores that does not "
            f"begin with a digit, got {shown(name)}"
        )
    return ""


Text = Annotated[str, AfterValidator(_text)]
Stated = Annotated[str, AfterValidator(_stated)]
Argument = Annotated[str, AfterValidator(_argument)]
Command = Annotated[
    str | tuple[str, ...],
    PlainValidator(_command),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
            ]
        }
    ),
]
Environment = Annotated[
    dict[str, str], PlainValidator(_environment), WithJsonSchema(TEXTS_SCHEMA)
]
Variables = Annotated[
    dict[str, str], PlainValidator(_variables), WithJsonSchema(TEXTS_SCHEMA)
]
