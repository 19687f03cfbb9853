"""YAML 1.2 by its own rules, and what strangers may send."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from jobs_grpc.jobfile import ProblemsError, load_text
from jobs_grpc.jobfile.reading.source import Source
from jobs_grpc.jobfile.reading.yaml_text import read_yaml


@pytest.fixture(params=[True, False], ids=["libyaml", "python"])
def fast(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def value(text: str, *, fast: bool) -> object:
    [parsed], problems = read_yaml(Source("a.yaml", text), fast=fast)
    assert not problems
    return parsed.value


def refusals(text: str, *, fast: bool) -> list[str]:
    _, problems = read_yaml(Source("a.yaml", text), fast=fast)
    return [str(problem) for problem in problems]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("Off", "Off"),
        ("y", "y"),
        ("12:30", "12:30"),
        ("2026-11-21", "2026-11-21"),
        ("2026-11-21T10:00:00Z", "2026-11-21T10:00:00Z"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("=", "="),
        ("true", True),
        ("False", False),
        ("tRue", "tRue"),
        ("null", None),
        ("~", None),
        ("0755", 755),
        ("0o755", 493),
        ("0x1F", 31),
        ("-17", -17),
        ("+17", 17),
        ("1.10", 1.1),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-.inf", float("-inf")),
        (".", "."),
        ("-", None),
        ("0 2 * * *", "0 2 * * *"),
        ('"17"', "17"),
        ("'true'", "true"),
        ("!!str 17", "17"),
        ("!!int 17", 17),
    ],
)
def test_plain_words_mean_what_yaml_1_2_says(
    text: str, expected: object, fast: bool
) -> None:
    found = value(f"a: {text}\n" if text != "-" else "a: ~\n", fast=fast)

    assert found == {"a": expected}
    assert isinstance(found, dict)
    assert type(found["a"]) is type(expected)


def test_keys_are_texts_whatever_they_look_like(fast: bool) -> None:
    assert value("on: 1\n12: 2\ntrue: 3\n", fast=fast) == {"on": 1, "12": 2, "true": 3}


def test_aliases_and_merge_keys_bring_in_what_is_written_once(fast: bool) -> None:
    text = "base: &b {x: 1, y: 2}\none: *b\ntwo:\n  y: 3\n  <<: *b\n"

    assert value(text, fast=fast) == {
        "base": {"x": 1, "y": 2},
        "one": {"x": 1, "y": 2},
        "two": {"x": 1, "y": 3},
    }


def test_of_several_merged_objects_the_first_wins(fast: bool) -> None:
    text = "a: &a {x: 1}\nb: &b {x: 2, y: 2}\nc: {<<: [*a, *b]}\n"
    found = value(text, fast=fast)

    assert isinstance(found, dict)
    assert found["c"] == {"x": 1, "y": 2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: !!python/object/apply:os.system [ls]", "the tag tag:yaml.org,2002:python"),
        ("!!python/object:x {}", "the tag tag:yaml.org,2002:python/object:x is not"),
        ("a: !mine 5", "the tag !mine is not allowed"),
        ("a: !!binary aGk=", "is not allowed"),
        ("a: !!int x", "does not fit its tag !!int"),
        ("a: {<<: 5}", "<< must be given an object"),
        ("a: &a [*a]", "nested deeper than 50 levels"),
        ("a: &a {b: *a}", "nested deeper than 50 levels"),
        ("a: &a {<<: *a}", ""),
        ("a: " + "[" * 51 + "]" * 51, "nested deeper than 50 levels"),
        ("a: " + "[" * 100_000, "nested deeper than 50 levels"),
        ("a: " + "{b: " * 100_000, "nested deeper than 50 levels"),
        ("- " * 5_000 + "x", "nested deeper than 50 levels"),
    ],
)
def test_what_no_job_needs_is_refused(text: str, message: str, fast: bool) -> None:
    found = refusals(text, fast=fast)

    assert found
    assert message in found[0]


def test_fifty_levels_are_fine(fast: bool) -> None:
    assert value("[" * 50 + "]" * 50, fast=fast) is not None


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 30)
)
MERGE_BOMB = "a0: &a0 {}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 30)
)


@pytest.mark.parametrize("bomb", [BOMB, MERGE_BOMB], ids=["lists", "merges"])
def test_a_bomb_of_aliases_is_defused(bomb: str, fast: bool) -> None:
    tracemalloc.start()
    begin = time.process_time()
    found = refusals(bomb, fast=fast)
    spent = time.process_time() - begin
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert "aliases repeat more than 10000 values" in found[0]
    # A tenth of this is usual; unbounded, it would take years.
    assert spent < 5
    assert peak < 50_000_000


def test_a_bomb_leaves_a_problem_and_nothing_else() -> None:
    with pytest.raises(ProblemsError) as caught:
        load_text(BOMB, origin="a.yaml")

    assert len(caught.value.problems) == 1


def test_a_text_may_hold_several_jobs() -> None:
    text = "name: a\ncommand: x\n---\n---\n# empty\n---\nname: b\ncommand: x\n...\n"

    jobs = load_text(text, origin="a.yaml")

    assert [(job.document.name, job.line) for job in jobs] == [("a", 1), ("b", 7)]


def test_problems_of_all_documents_are_reported() -> None:
    text = "name: a\n---\nname: b\ncommand: x\nzzz: 1\n---\n\tx"

    with pytest.raises(ProblemsError) as caught:
        load_text(text, origin="a.yaml")

    assert [problem.line for problem in caught.value.problems] == [1, 5, 7]


def test_the_norway_problem_is_not_ours() -> None:
    text = "name: a\ncommand: x\nenvironment: {COUNTRY: no, AT: 12:30}\n"

    [job] = load_text(text, origin="a.yaml")

    assert job.document.environment == {"COUNTRY": "no", "AT": "12:30"}


def test_a_number_that_should_be_text_is_refused_rather_than_changed() -> None:
    text = "name: a\ncommand: x\nenvironment: {MODE: 0755, VERSION: 1.10}\n"

    with pytest.raises(ProblemsError, match="put it in quotes") as caught:
        load_text(text, origin="a.yaml")

    assert [problem.field for problem in caught.value.problems] == [
        "environment.MODE",
        "environment.VERSION",
    ]
