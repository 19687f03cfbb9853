"""Names and labels: what may be a key in stores, paths, environments and queries."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

from jobs_grpc.jobfile.part.complaint import Complaint, complain, complaints, shown
from jobs_grpc.jobfile.part.mapping import TEXTS_SCHEMA, not_text, texts

STANDALONE: Final = "_standalone_"
"""The workspace of all jobs that belong to none."""

DEFAULT_NAMESPACE: Final = "default"

# Names become directory names and parts of keys: no slash, no leading dot or dash.
NAME_PATTERN: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
LABEL_PATTERN: Final = r"\w[\w./:@+-]{0,127}"
FUNCTION_PATTERN: Final = r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}"
PROGRAM_PATTERN: Final = r"[A-Za-z0-9._+-]{1,128}|/[^\0]{1,1023}"

_NAME = re.compile(NAME_PATTERN)
_LABEL = re.compile(LABEL_PATTERN)
_FUNCTION = re.compile(FUNCTION_PATTERN)
_PROGRAM = re.compile(PROGRAM_PATTERN)
_LABEL_VALUE_LENGTH = 256


def _name(text: str) -> str:
    if _NAME.fullmatch(text):
        return text
    raise complain(
        "must be 1 to 128 letters, digits, dots, underscores or dashes and begin with "
        f"a letter or a digit, got {shown(text)}"
    )


def _workspace(text: str) -> str:
    return text if text == STANDALONE else _name(text)


def _function(text: str) -> str:
    if _FUNCTION.fullmatch(text):
        return text
    raise complain(
        "must be the name of a function: letters, digits, dots, dashes and "
        f"underscores, beginning with a letter, got {shown(text)}"
    )


def _program(text: str) -> str:
    if _PROGRAM.fullmatch(text):
        return text
    raise complain(
        "must be the name of a program, such as bash, or an absolute path, without "
        f"arguments, got {shown(text)}"
    )


def label_fault(key: str, value: str = "") -> str:
    """Return what is wrong with a label of a job or of a worker; empty if nothing is.

    One rule for both: what a selector may ask for, a worker may have.
    """
    if not _LABEL.fullmatch(key):
        return _label_rule(key)
    if len(value) > _LABEL_VALUE_LENGTH or not value.isprintable():
        return f"must be at most {_LABEL_VALUE_LENGTH} printable characters"
    return ""


def _labels(value: object) -> dict[str, str]:
    return texts(value, label_fault)


def _tags(value: object) -> dict[str, str]:
    """Read tags, which are labels without values; an object is taken as labels."""
    if isinstance(value, dict):
        return texts(value, label_fault)
    if not isinstance(value, list | tuple):
        raise complain(f"must be a list of texts, got {shown(value)}")
    found = []
    for index, tag in enumerate(value):
        if not isinstance(tag, str):
            found.append(Complaint((index,), not_text(tag)))
        elif not _LABEL.fullmatch(tag):
            found.append(Complaint((index,), _label_rule(tag)))
    if found:
        raise complaints(found)
    return dict.fromkeys(value, "")


def _label_rule(key: str) -> str:
    return (
        "must be 1 to 128 letters, digits or characters of _ . / : @ + - and begin "
        f"with a letter, a digit or an underscore, got {shown(key)}"
    )


Name = Annotated[
    str,
    AfterValidator(_name),
    Field(json_schema_extra={"pattern": f"^{NAME_PATTERN}$"}),
]
WorkspaceName = Annotated[
    str,
    AfterValidator(_workspace),
    Field(json_schema_extra={"pattern": f"^({NAME_PATTERN}|{STANDALONE})$"}),
]
FunctionName = Annotated[
    str,
    AfterValidator(_function),
    Field(json_schema_extra={"pattern": f"^{FUNCTION_PATTERN}$"}),
]
Program = Annotated[str, AfterValidator(_program)]
Labels = Annotated[
    dict[str, str], PlainValidator(_labels), WithJsonSchema(TEXTS_SCHEMA)
]
Tags = Annotated[
    dict[str, str],
    PlainValidator(_tags),
    WithJsonSchema(
        {"anyOf": [{"type": "array", "items": {"type": "string"}}, TEXTS_SCHEMA]}
    ),
]
