"""Where a problem is, in each of the formats."""

from __future__ import annotations

import pytest

from jobs_grpc.jobfile import Format, ProblemsError, load_text

JSON = """{
  "name": "backup",
  "command": ["a", 1],
  "schedule": [
    "0 2 * * *",
    {"cron": "0 25 * * *"}
  ],
  "timeout": -1,
  "schedul": "x",
  "environment": {"A": "x", "B=C": "é", "D": 4}
}
"""
YAML = """# a comment
name: backup
command: [a, 1]
schedule:
  - 0 2 * * *
  - cron: "0 25 * * *"
timeout: -1
schedul: x
environment: {A: x, B=C: é, D: 4}
"""
TOML = """# a comment
name = "backup"
command = ["a", 1]
timeout = -1
schedul = "x"

[[schedule]]
cron = "0 2 * * *"

[[schedule]]
cron = '0 25 * * *'

[environment]
A = \"\"\"
D = 5
\"\"\"
"B=C" = "é"
D = 4
"""


def problems(text: str | bytes, name: str) -> list[str]:
    with pytest.raises(ProblemsError) as caught:
        load_text(text, origin=name)
    return [str(problem) for problem in caught.value.problems]


def places(text: str, name: str) -> dict[str, str]:
    """Return the place of each problem by its field."""
    found = {}
    for problem in problems(text, name):
        file, line, rest = problem.split(":", 2)
        column, field, _ = rest.split(": " if rest[0] == " " else ":", 2)
        assert file == name
        found[field.strip()] = f"{line}:{column}"
    return found


def test_places_in_json() -> None:
    assert places(JSON, "a.json") == {
        "command[1]": "3:20",
        "schedule[1].cron": "6:17",
        "timeout": "8:14",
        "schedul": "9:3",
        "environment.B=C": "10:36",
        "environment.D": "10:46",
    }


def test_places_in_yaml() -> None:
    assert places(YAML, "a.yaml") == {
        "command[1]": "3:14",
        "schedule[1].cron": "6:14",
        "timeout": "7:10",
        "schedul": "8:1",
        "environment.B=C": "9:26",
        "environment.D": "9:32",
    }


def test_places_in_toml() -> None:
    assert places(TOML, "a.toml") == {
        "command[1]": "3:11",
        "timeout": "4:11",
        "schedul": "5:1",
        "schedule[1].cron": "11:11",
        "environment.B=C": "17:9",
        "environment.D": "18:5",
    }


def test_problems_come_in_the_order_of_the_text() -> None:
    lines = [int(problem.split(":")[1]) for problem in problems(JSON, "a.json")]

    assert lines == sorted(lines)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"name": "a", "command": "b", "schedule": "0 25 * * *"}', "1:46"),
        ('{"name": "a", "command": "b", "schedule": "0\\u0020 25 * * *"}', "1:43"),
        ('\n\n {"name": "a", "command": "b", "timeout": "5x"}', "3:45"),
    ],
)
def test_a_column_points_into_the_value_where_it_reads_as_written(
    text: str, place: str
) -> None:
    [problem] = problems(text, "a.json")

    assert problem.startswith(f"a.json:{place}: ")


def test_the_position_in_the_expression_is_said_too() -> None:
    [problem] = problems("name: a\ncommand: b\nschedule: 0 25 * * *\n", "a.yaml")

    assert problem == (
        'a.yaml:3:13: schedule: hour must be 0-23, got "25" (at position 2)'
    )


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.json", '{"name": "a",}', "1:14: not valid JSON: there must be no comma b"),
        ("a.json", '{\n"name" "a"}', '2:8: not valid JSON: expecting ":" delimiter'),
        ("a.json", '{"a": 1', "1:8: not valid JSON: the text ends too early"),
        ("a.json", "{'a': 1}", "1:2: not valid JSON: text must be in double quotes"),
        ("a.json", '{\n// c\n"a": 1}', "2:1: not valid JSON: JSON has no comments"),
        ("a.json", '{"a": NaN}', "1:7: not valid JSON: NaN is not a number"),
        ("a.json", '{"a": "\n"}', "1:8: not valid JSON: invalid control character"),
        ("a.json", '{"a": ' + "9" * 5000 + "}", " not valid JSON: "),
        ("a.json", "{} {}", "1:4: not valid JSON: extra data"),
        ("a.json", '{"a": 1, "b": {"c": 1,\n "c": 2}}', "2:2: b.c: the key is given t"),
        ("a.yaml", "name: a\n\tcommand: b", "2:1: not valid YAML: "),
        ("a.yaml", "name: a\n b: c", "2:3: not valid YAML: "),
        ("a.yaml", "name: *x", "1:7: not valid YAML: found undefined alias"),
        ("a.yaml", "name: a\0b", "1:8: not valid YAML: the character #x0000"),
        ("a.yaml", "a: 1\nb: {c: 1, c: 2}", "2:11: b.c: the key is given twice, fir"),
        ("a.yaml", "a: 1\n? [x]\n: 2", "2:3: a key must be text"),
        ("a.yaml", "- a", "1:1: a job file holds an object"),
        ("a.yaml", "", " the file is empty: it holds no job"),
        ("a.yaml", "# nothing\n---\n", " the file is empty: it holds no job"),
        ("a.toml", 'name = "a"\nname = "b"', "2:11: not valid TOML: cannot overwrite"),
        ("a.toml", "name = ", "1:8: not valid TOML: invalid value"),
        ("a.toml", "", " the file is empty: it holds no job"),
    ],
)
def test_a_broken_text_is_refused_at_its_place(
    name: str, text: str, expected: str
) -> None:
    [problem] = problems(text, name)

    assert problem.startswith(f"{name}:{expected}")


def test_each_repeated_key_is_a_problem() -> None:
    found = problems('{"a": 1, "a": 2, "b": [{"c": 1, "c": 2}]}', "a.json")

    assert [problem.partition(": the")[0] for problem in found] == [
        "a.json:1:10: a",
        "a.json:1:33: b.0.c",
    ]


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ('{"name": "a", "command": "b"}', "-"),
        ("name: a\ncommand: b", "-"),
        ('name = "a"\ncommand = "b"', "x.toml"),
    ],
)
def test_the_format_is_guessed(text: str, origin: str) -> None:
    [job] = load_text(text, origin=origin)

    assert job.document.name == "a"
    assert job.origin == origin


@pytest.mark.parametrize("format_", ["json", "yaml"])
def test_a_given_format_is_not_guessed(format_: Format) -> None:
    text = '{"name": "a", "command": "b"}'

    [job] = load_text(text, origin="a.toml", format=format_)

    assert job.document.name == "a"


def test_dates_of_toml_are_instants() -> None:
    text = 'name = "a"\ncommand = "b"\nschedule = {at = 2027-01-15T10:00:00Z}\n'

    [job] = load_text(text, origin="a.toml")

    assert len(job.document.schedules) == 1


def test_a_repeated_key_before_broken_json_hides_nothing() -> None:
    [problem] = problems('{"a": {"b": 1, "b": 2}, }', "a.json")

    assert problem.startswith("a.json:1:25: not valid JSON")


@pytest.mark.parametrize(
    "text",
    [
        "name: a\ncommand: b\n" + "\n".join(f"key{n}: 1" for n in range(1_000)),
        "name: a\n---\n" * 1_000,
        "jobs:\n" + "- {nam: x}\n" * 1_000,
        "jobs:\n" + "- {name: x, command: y}\n" * 1_000,
    ],
)
def test_a_hundred_problems_are_enough(text: str) -> None:
    found = problems(text, "a.yaml")

    assert len(found) == 101
    assert found[-1] == "a.yaml: there are more problems than these 100"
