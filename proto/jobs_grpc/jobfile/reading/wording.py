"""pydantic's findings in our words.

A message says what the value must be and what it is, in a sentence that continues
`field: `. Unknown keys get the nearest known one, or what our word for the thing is.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import Any, Final, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from jobs_grpc.jobfile.part.complaint import KIND, Loc, printable, shown

# What other systems and habits call things; difflib would not find these.
_OUR_WORDS: Final = {
    "argv": "command",
    "args": "command",
    "catchup": "catch_up",
    "cmd": "command",
    "concurrency_policy": "overlap",
    "cron": "schedule",
    "cwd": "working_dir",
    "env": "environment",
    "every": "schedule",
    "exec": "command",
    "input": "params",
    "is_enabled": "enabled",
    "job_type": "type",
    "max_retries": "retry",
    "misfire": "catch_up",
    "parameters": "params",
    "retries": "retry",
    "retry_delay": "retry",
    "run": "command",
    "run_at": "schedule: {at: ...}",
    "shell": "command",
    "team": "namespace",
    "tz": "timezone",
    "workdir": "working_dir",
}


def field_name(loc: Loc) -> str:
    """Return a path as people write it: `params.size.default`, `jobs[0].name`."""
    name = ""
    for part in loc:
        if isinstance(part, int):
            name += f"[{part}]"
        else:
            name += f".{part}" if name else part
    return printable(name)


def own_path(error: ErrorDetails) -> tuple[Loc, bool]:
    """Return the path of an error in the file, and whether it is about the key there."""
    loc = error["loc"]
    if loc and loc[-1] == "[key]":
        return loc[:-1], True
    return loc, error["type"] in {"extra_forbidden", "invalid_key"}


def sentence(error: ErrorDetails, model: type[BaseModel]) -> str:
    """Return what is wrong, in our words; `model` is what the whole document is."""
    kind = error["type"]
    if kind == KIND:
        return str(error["ctx"]["message"])
    if kind == "extra_forbidden":
        return _unknown_key(error, model)
    if kind == "missing":
        return "is required"
    context: dict[str, Any] = error.get("ctx", {})
    if kind in _EXPECTED:
        return f"must be {_EXPECTED[kind]}, {_got(kind, error['input'])}"
    if kind in _BOUNDED:
        return f"must be {_BOUNDED[kind](context)}, {_got(kind, error['input'])}"
    message = error["msg"]
    return message[:1].lower() + message[1:]


_EXPECTED: Final = {
    "string_type": "text",
    "string_unicode": "valid Unicode text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a smaller number",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "list_type": "a list",
    "tuple_type": "a list",
    "invalid_key": "text",
}
_BOUNDED: Final[dict[str, Callable[[dict[str, Any]], str]]] = {
    "greater_than_equal": lambda context: f"at least {context['ge']}",
    "less_than_equal": lambda context: f"at most {context['le']}",
    "literal_error": lambda context: f"one of {_offered(context['expected'])}",
}


def _offered(expected: str) -> str:
    return expected.replace("'", "").replace(" or ", ", ")


def _got(kind: str, value: object) -> str:
    text = f"got {shown(value)}"
    if kind == "string_type" and isinstance(value, int | float):
        return f"{text}; put it in quotes"
    return text


def _unknown_key(error: ErrorDetails, model: type[BaseModel]) -> str:
    *path, key = error["loc"]
    owner = _model_at(model, path)
    known = list(owner.model_fields) if owner is not None else []
    word = str(key)
    near = difflib.get_close_matches(word.lower(), known, n=1)
    if near:
        return f'unknown key; did you mean "{near[0]}"?'
    ours = _OUR_WORDS.get(word.lower(), "")
    if ours.partition(":")[0] in known:
        return f'unknown key; did you mean "{ours}"?'
    return "unknown key"


def _model_at(model: type[BaseModel], path: Sequence[int | str]) -> Any:
    """Return the model of the object at a path; names in open objects lead no further."""
    found: type[BaseModel] | None = model
    for part in path:
        if found is not None and part in found.model_fields:
            found = _model_in(found.model_fields[str(part)].annotation)
    return found


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        if (found := _model_in(argument)) is not None:
            return found
    return None
