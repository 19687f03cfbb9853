"""`@function`: what makes a Python function a job of this worker.

The function itself stays what it was, so that a test can call it. What is found out
about its parameters is found out once, here; checking the arguments of a call is then a
matter of set arithmetic.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar, overload

from jobs_grpc.worker.functions.context import Context

F = TypeVar("F", bound=Callable[..., Any])
MARK: Final = "__jobs_grpc_function__"


class ArgumentsError(Exception):
    """The arguments of a call do not fit the function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A function under the name by which jobs call it."""

    name: str
    call: Callable[..., Any]
    is_coroutine: bool
    takes_context: bool
    required: frozenset[str]
    # In the order of the definition.
    parameters: tuple[str, ...]
    takes_anything: bool

    def bind(self, arguments_json: str, params: Mapping[str, str]) -> dict[str, Any]:
        """Return the arguments of one call; without arguments the params are taken.

        Raises:
            ArgumentsError: with a sentence for the user.
        """
        arguments = self._parse(arguments_json) if arguments_json else dict(params)
        if not arguments and not self.required:
            return arguments
        if not self.takes_anything:
            for name in arguments:
                if name not in self.parameters:
                    takes = ", ".join(self.parameters) or "none"
                    raise ArgumentsError(
                        f"{self.name} has no argument {name!r}; it takes {takes}"
                    )
        if not self.required <= arguments.keys():
            absent = [one for one in self.parameters if one in self.required]
            absent = [repr(one) for one in absent if one not in arguments]
            raise ArgumentsError(f"{self.name} needs the argument {', '.join(absent)}")
        return arguments

    def _parse(self, arguments_json: str) -> dict[str, Any]:
        try:
            arguments = json.loads(arguments_json)
        except ValueError as error:
            raise ArgumentsError(
                f"the arguments of {self.name} are not JSON: {error}"
            ) from None
        if not isinstance(arguments, dict):
            raise ArgumentsError(f"the arguments of {self.name} are not a JSON object")
        return arguments


@overload
def function(call: F) -> F: ...
@overload
def function(*, name: str | None = None) -> Callable[[F], F]: ...
def function(call: F | None = None, *, name: str | None = None) -> F | Callable[[F], F]:
    """Make a function callable by jobs, under its own name or `name`."""

    def mark(target: F) -> F:
        setattr(target, MARK, register(target, name=name))
        return target

    return mark(call) if call is not None else mark


def registration_of(target: object) -> Registration | None:
    """Return what `@function` found out about a function, if it was there."""
    found = getattr(target, MARK, None)
    return found if isinstance(found, Registration) else None


def register(target: Callable[..., Any], *, name: str | None = None) -> Registration:
    """Return the registration of any callable.

    Raises:
        TypeError: where arguments could not be given by name.
    """
    own_name = name or getattr(target, "__name__", "")
    if not own_name:
        raise TypeError(f"{target!r} has no name; give one: @function(name=...)")
    parameters = list(inspect.signature(target).parameters.values())
    takes_context = bool(parameters) and _is_context(parameters[0])
    if takes_context:
        parameters = parameters[1:]
    for one in parameters:
        if one.kind is one.POSITIONAL_ONLY:
            raise TypeError(
                f"{own_name} takes {one.name!r} by position only; a job gives its "
                "arguments by name"
            )
    named = [
        one
        for one in parameters
        if one.kind in {one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY}
    ]
    return Registration(
        name=own_name,
        call=target,
        is_coroutine=inspect.iscoroutinefunction(target),
        takes_context=takes_context,
        required=frozenset(one.name for one in named if one.default is one.empty),
        parameters=tuple(one.name for one in named),
        takes_anything=any(one.kind is one.VAR_KEYWORD for one in parameters),
    )


def _is_context(parameter: inspect.Parameter) -> bool:
    """Annotations are strings where the module asks for that, and often are."""
    annotation = parameter.annotation
    if isinstance(annotation, str):
        return annotation.rpartition(".")[2] == Context.__name__
    return annotation is Context
