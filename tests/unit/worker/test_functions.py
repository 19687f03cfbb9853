"""Registering functions, loading them, and fitting arguments to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobs_grpc.worker import CatalogueError, Context, FunctionCancelledError, function
from jobs_grpc.worker.functions.catalogue import Catalogue, load
from jobs_grpc.worker.functions.decorator import (
    ArgumentsError,
    Registration,
    register,
    registration_of,
)


def greet(name: str, greeting: str = "hello") -> str:
    return f"{greeting} {name}"


def the(target: Any) -> Registration:
    return registration_of(target) or register(target)


def test_a_decorated_function_stays_a_function() -> None:
    @function
    def twice(n: int) -> int:
        return 2 * n

    @function(name="three-times")
    async def thrice(n: int) -> int:
        return 3 * n

    assert twice(2) == 4
    assert the(twice).name == "twice"
    assert the(thrice).name == "three-times"


@pytest.mark.parametrize(
    ("arguments", "bound"),
    [
        ('{"name": "x"}', {"name": "x"}),
        ('{"name": "x", "greeting": null}', {"name": "x", "greeting": None}),
    ],
)
def test_arguments_come_by_name(arguments: str, bound: dict[str, Any]) -> None:
    assert register(greet).bind(arguments, {"name": "ignored"}) == bound


def test_without_arguments_the_params_are_taken() -> None:
    assert register(greet).bind("", {"name": "x"}) == {"name": "x"}
    assert register(lambda: None, name="f").bind("", {}) == {}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("{}", "greet needs the argument 'name'"),
        ('{"nmae": 1}', "greet has no argument 'nmae'; it takes name, greeting"),
        ("[1]", "the arguments of greet are not a JSON object"),
        ("{", "the arguments of greet are not JSON"),
    ],
)
def test_arguments_that_do_not_fit_are_named(arguments: str, problem: str) -> None:
    with pytest.raises(ArgumentsError, match=problem):
        register(greet).bind(arguments, {})


def test_a_function_may_take_anything() -> None:
    def anything(**values: Any) -> None: ...

    assert register(anything).bind('{"a": 1}', {}) == {"a": 1}


def test_positions_cannot_be_given_by_a_job() -> None:
    def positional(a: int, /) -> None: ...

    with pytest.raises(TypeError, match="'a' by position only"):
        function(positional)


def test_the_context_is_found_by_its_annotation() -> None:
    def first(ctx: Context, name: str) -> None: ...
    def second(name: str, ctx: Context) -> None: ...

    async def coroutine(ctx: Context) -> None: ...

    assert register(first).takes_context
    assert register(first).parameters == ("name",)
    assert not register(second).takes_context
    assert register(coroutine).takes_context
    assert register(coroutine).is_coroutine


def test_a_context_can_be_made_for_a_test(capsys: pytest.CaptureFixture[str]) -> None:
    context = Context(execution_id="x")
    context.raise_if_cancelled()
    context.progress(1, total=3, message="m")
    context.log("text")
    assert capsys.readouterr().out == "text\n"
    assert not context.cancelled
    with pytest.raises(FunctionCancelledError):
        Context(is_stopping=lambda: True).raise_if_cancelled()


def test_progress_is_a_fraction() -> None:
    seen: list[tuple[float, str]] = []
    context = Context(on_progress=lambda fraction, text: seen.append((fraction, text)))
    context.progress(0.5)
    context.progress(30, total=60, message="half")
    context.progress(9, total=3)
    context.progress(1, total=0)
    assert seen == [(0.5, ""), (0.5, "half"), (1.0, ""), (0.0, "")]


MODULE = """
from __future__ import annotations
from jobs_grpc.worker import Context, function
import neighbor

@function
def one(ctx: Context, n: int = 1) -> int:
    return n + neighbor.N

@function(name="two-named")
async def two() -> None: ...

def not_marked() -> None: ...
"""


def test_a_file_is_loaded_with_its_neighbors(tmp_path: Path) -> None:
    (tmp_path / "neighbor.py").write_text("N = 41")
    file = tmp_path / "shop_functions.py"
    file.write_text(MODULE)
    catalogue = load([str(file)])
    assert catalogue.names == ("one", "two-named")
    found = catalogue.get("one")
    assert found is not None
    assert found.takes_context
    assert found.call(Context(), n=1) == 42


def test_everything_that_cannot_be_loaded_is_said_at_once(tmp_path: Path) -> None:
    broken = tmp_path / "broken_functions.py"
    broken.write_text("1 / 0")
    empty = tmp_path / "empty_functions.py"
    empty.write_text("")
    with pytest.raises(CatalogueError) as refused:
        load([str(broken), str(empty), "no_such_module_here", "/no/such/file.py"])
    lines = str(refused.value).splitlines()
    assert len(lines) == 4
    assert "broken_functions.py: ZeroDivisionError: division by zero" in lines[0]
    assert "has no functions; mark them with @function" in lines[1]
    assert "ModuleNotFoundError" in lines[2]
    assert "no such file" in lines[3]


def test_two_functions_cannot_have_one_name() -> None:
    def another() -> None: ...

    another.__name__ = "greet"
    catalogue = Catalogue()
    catalogue.add(greet)
    catalogue.add(greet)
    with pytest.raises(CatalogueError, match="two functions are named 'greet'"):
        catalogue.add(another)


def test_an_unknown_function_is_answered_with_the_known_ones() -> None:
    catalogue = load([], [greet])
    assert catalogue.unknown("x") == "unknown function 'x'; this worker knows greet"
    assert "knows no function at all" in Catalogue().unknown("x")
