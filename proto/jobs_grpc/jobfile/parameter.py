"""Declared inputs of a job, and the check of what a run is given.

A declaration is an object with a type and a default; a plain value is the short form of
a declaration whose default it is. Patterns are matched by Rust's regular expressions,
which take time in proportion to the text: a pattern written by one user cannot hold up
the server for all others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import (
    Field,
    JsonValue,
    StrictBool,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic_core import SchemaError, SchemaValidator, ValidationError, core_schema

from jobs_grpc.jobfile.part.complaint import (
    Complaint,
    complain,
    complaints,
    joined,
    shown,
)
from jobs_grpc.jobfile.part.part import Part
from jobs_grpc.jobfile.part.text import (
    Text,
    placeholder_name_fault,
    text_fault,
)
from jobs_grpc.jobfile.problem import Problem, ProblemsError

if TYPE_CHECKING:
    from jobs_grpc.jobfile.document import JobDocument

ParameterType: TypeAlias = Literal["string", "integer", "number", "boolean", "json"]
ParameterValue: TypeAlias = str | int | float | bool | list[Any] | dict[str, Any]

# All parameters of one run together; larger inputs are files.
LARGEST_PARAMETERS: Final = 64 * 1024

_INTEGER = re.compile(r"[+-]?\d{1,18}")
# What every language of the product's users holds exactly, or at all.
_LARGEST_INTEGER: Final = 10**18
_LARGEST_NUMBER: Final = 1e300
_EXPECTED: Final = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "json": "a JSON value",
}


class Parameter(Part):
    """One declared input of a job."""

    type: Annotated[
        ParameterType,
        Field(
            description=(
                "What the values are; default: the type of the default value, else "
                "string. json is for lists and objects."
            )
        ),
    ] = "string"
    default: Annotated[
        JsonValue,
        Field(description="The value of a run that is given none."),
    ] = None
    required: Annotated[
        StrictBool,
        Field(
            description=(
                "Whether a run must be given a value. Default: true if there is no "
                "default. Not required and without a default, the parameter may be left "
                "out, and then has no value at all."
            )
        ),
    ] = True
    pattern: Annotated[
        Text,
        Field(
            description=(
                "For text: a regular expression (Rust's syntax, no look-around) that the "
                "whole value must match. Default: any text."
            )
        ),
    ] = ""
    options: Annotated[
        tuple[JsonValue, ...],
        Field(
            description=(
                "The values to choose from; may also be called enum. Default: any value."
            )
        ),
    ] = ()
    description: Annotated[
        Text, Field(description="What the parameter is for; for people.")
    ] = ""

    @model_validator(mode="before")
    @classmethod
    def _long_form(cls, value: object) -> object:
        if value is None:
            raise complain('has no value; write {type: string} for "must be given"')
        if not isinstance(value, Mapping):
            return {"type": _type_of(value), "default": value}
        if not all(isinstance(key, str) for key in value):
            return value
        long = dict(value)
        if "enum" in long and "options" not in long:
            long["options"] = long.pop("enum")
        if "type" not in long and long.get("default") is not None:
            long["type"] = _type_of(long["default"])
        return long

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            core = core_schema.str_schema(pattern=pattern)
            SchemaValidator(core)  # alone, so that "a)(b" cannot close our group
            _matcher(pattern)
        except SchemaError as error:
            reason = str(error).rsplit("error: ", 1)[-1].strip()
            raise complain(f"is not a regular expression: {reason}") from None
        return pattern

    @model_validator(mode="after")
    def _settle(self) -> Self:
        found = []
        given = self.model_fields_set
        has_default = "default" in given
        if self.pattern and self.type != "string":
            found.append(
                Complaint(("pattern",), "is only for parameters of type string")
            )
        if "options" in given and not self.options:
            found.append(Complaint(("options",), "must offer a value to choose"))
        for index, option in enumerate(self.options):
            if fault := self._type_fault(option):
                found.append(Complaint(("options", index), fault))
        if has_default and (fault := self.fault(self.default)):
            found.append(Complaint(("default",), fault))
        if has_default and self.required and "required" in given:
            message = "must be false for a parameter that has a default"
            found.append(Complaint(("required",), message))
        if found:
            raise complaints(found)
        if has_default:
            self.__dict__["required"] = True
            if self.type == "number":
                self.__dict__["default"] = float(self.default)  # type: ignore[arg-type]
        return self

    @property
    def has_default(self) -> bool:
        """Whether a run that is given no value gets one."""
        return self.default is not None

    def fault(self, value: object) -> str:
        """Return why `value` cannot be used, or nothing."""
        if fault := self._type_fault(value):
            return fault
        if self.options and value not in self.options:
            offered = ", ".join(shown(option) for option in self.options)
            return f"must be one of {offered}; got {shown(value)}"
        if self.pattern and not _matches(self.pattern, str(value)):
            return f"must match {self.pattern}, got {shown(value)}"
        return ""

    def read(self, text: str) -> ParameterValue:
        """Return the value that `text` stands for; raises `ValueError` if for none."""
        if self.type == "string":
            return text
        if self.type == "integer" and _INTEGER.fullmatch(text):
            return int(text)
        if self.type == "number":
            return float(text)
        if self.type == "boolean" and text in {"true", "false"}:
            return text == "true"
        if self.type == "json":
            value = json.loads(text)
            if value is not None:
                return value  # type: ignore[no-any-return]
        raise ValueError(text)

    def _type_fault(self, value: object) -> str:
        if self.type == "string" and isinstance(value, str):
            return text_fault(value)
        if not _has_type(value, self.type):
            return f"must be {_EXPECTED[self.type]}, got {shown(value)}"
        return ""


def validate_params(
    document: JobDocument, given: Mapping[str, str]
) -> dict[str, ParameterValue]:
    """Return the value of every parameter of one run: what is given, else the default.

    Values have their declared types. A parameter that is neither required nor given,
    without a default, is left out.

    Raises:
        ProblemsError: one is unknown, missing or not acceptable; all such are named.
    """
    values, faults = parameter_values(document.params, given)
    problems = [
        Problem("", None, None, f"params.{name}", fault)
        for name, fault in faults.items()
    ]
    size = sum(len(name) + len(text.encode()) for name, text in given.items())
    if size > LARGEST_PARAMETERS:
        message = f"must be at most 64 KiB, got {size} bytes"
        problems.append(Problem("", None, None, "params", message))
    if problems:
        raise ProblemsError(problems)
    return values


def parameter_values(
    declared: Mapping[str, Parameter], given: Mapping[str, str]
) -> tuple[dict[str, ParameterValue], dict[str, str]]:
    """Return the values of declared parameters, and what is wrong, by their names."""
    values: dict[str, ParameterValue] = {}
    faults = {name: _unknown(declared) for name in given if name not in declared}
    for name, parameter in declared.items():
        if name in given:
            try:
                values[name] = _accepted(parameter, given[name])
            except ValueError as error:
                faults[name] = str(error)
        elif parameter.has_default:
            values[name] = parameter.default  # type: ignore[assignment]
        elif parameter.required:
            faults[name] = "is required"
    return values, faults


def _declared(
    value: object, validate: ValidatorFunctionWrapHandler
) -> dict[str, Parameter]:
    """Check the names of parameters, which become placeholders and arguments."""
    names = value if isinstance(value, dict) else {}
    found = [
        Complaint((name,), fault)
        for name in names
        if isinstance(name, str) and (fault := placeholder_name_fault(name))
    ]
    try:
        params: dict[str, Parameter] = validate(value)
    except ValidationError as error:
        raise joined(error, found) from None
    if found:
        raise complaints(found)
    return params


def _accepted(parameter: Parameter, text: str) -> ParameterValue:
    try:
        value = parameter.read(text)
    except (ValueError, RecursionError):
        expected = _EXPECTED[parameter.type]
        raise ValueError(f"must be {expected}, got {shown(text)}") from None
    if fault := parameter.fault(value):
        raise ValueError(fault)
    return value


def _unknown(declared: Mapping[str, Parameter]) -> str:
    if not declared:
        return "is unknown; the job declares no parameters"
    return f"is unknown; the job declares {', '.join(sorted(declared))}"


def _type_of(value: object) -> ParameterType:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    return "string" if isinstance(value, str) else "json"


def _has_type(value: object, kind: ParameterType) -> bool:
    if kind == "json":
        return value is not None and _is_json(value)
    if kind == "boolean":
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    if kind == "integer":
        return isinstance(value, int) and abs(value) < _LARGEST_INTEGER
    if kind == "number":
        return isinstance(value, int | float) and abs(value) < _LARGEST_NUMBER
    return isinstance(value, str)


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False).encode()
    except ValueError:
        return False
    return True


@lru_cache(maxsize=1024)
def _matcher(pattern: str) -> SchemaValidator:
    # Without flags, ^ and $ of Rust's expressions are the two ends of the text.
    whole = f"^(?:{pattern})$"
    return SchemaValidator(core_schema.str_schema(pattern=whole))


def _matches(pattern: str, text: str) -> bool:
    try:
        _matcher(pattern).validate_python(text)
    except ValidationError:
        return False
    return True


Parameters = Annotated[dict[str, Parameter], WrapValidator(_declared)]
