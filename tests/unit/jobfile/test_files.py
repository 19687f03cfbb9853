"""Files and folders: encodings, sizes, names, and what is passed over."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobs_grpc.jobfile import Defaults, ProblemsError, load_path, load_text, load_tree

GOOD = b'{"name": "a", "command": "true"}'


def refusal(path: Path, content: bytes | None = None) -> str:
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ProblemsError) as caught:
        load_path(path)
    [problem] = caught.value.problems
    assert str(problem).startswith(str(path))
    return str(problem).removeprefix(str(path))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (GOOD.decode().encode("utf-16"), ": the file is UTF-16; save it as UTF-8"),
        (GOOD.decode().encode("utf-32"), ": the file is UTF-32; save it as UTF-8"),
        (
            b'{"name": "a",\n "description": "caf\xe9"}',
            (
                ":2:21: the file is not UTF-8: byte 0xe9 at offset 34; it may be "
                "Latin-1, save it as UTF-8"
            ),
        ),
        (b" " * 10_000_000, ": the file is 9.5 MiB; a job file is at most 1 MiB"),
        (b"", ": the file is empty: it holds no job"),
    ],
)
def test_a_file_that_is_no_text_is_refused(
    tmp_path: Path, content: bytes, expected: str
) -> None:
    assert refusal(tmp_path / "a.json", content) == expected


def test_a_byte_order_mark_is_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD)

    assert load_path(path)[0].document.name == "a"


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")

    assert refusal(tmp_path / "none.json") == ": there is no such file"
    assert refusal(tmp_path) == ": is a directory, not a job file"
    assert refusal(tmp_path / "pipe.json") == ": is a device or pipe, not a job file"
    assert "ends in .json, .yaml, .yml, .toml" in refusal(tmp_path / "a.txt", GOOD)


def test_a_text_too_large_is_refused_wherever_it_comes_from() -> None:
    with pytest.raises(ProblemsError, match="at most 1 MiB"):
        load_text("#" * 1_100_000, origin="-")


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "a", "command": "\ud800"}',
        '{"name": "a", "command": ["a", "\\ud800"]}',
        '{"name": "\\ud800", "command": "a"}',
        '{"name": "a", "command": "a", "tags": ["\\ud800"]}',
        '{"name": "a", "command": "a", "description": "\\ud800"}',
        '{"name": "a", "command": "a", "environment": {"\\ud800": ""}}',
        '{"name": "a", "command": "a", "params": {"a": ["\\ud800"]}}',
        '{"name": "a", "command": "a", "schedule": {"\\ud800": ""}}',
        '{"name": "a", "command": "a", "schedule": "\\ud800"}',
        '{"name": "a", "command": "a", "\\ud800": ""}',
        '{"\\ud800": 1, "\\ud800": 1}',
    ],
)
def test_lone_surrogates_are_no_text(text: str) -> None:
    with pytest.raises(ProblemsError) as caught:
        load_text(text, origin="a.json")

    # What is said about them can be printed.
    assert str(caught.value).encode()


def test_defaults_stand_in_for_what_a_document_leaves_out() -> None:
    text = "name: a\ncommand: x\n---\nname: b\ncommand: x\nnamespace: dev\n"

    jobs = load_text(
        text, origin="-", defaults=Defaults(namespace="ops", workspace="my-app")
    )

    assert [job.key for job in jobs] == [
        ("ops", "my-app", "a"),
        ("dev", "my-app", "b"),
    ]


def test_a_broken_file_never_keeps_the_others_from_loading(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / ".git").mkdir()
    for name, content in {
        "a.json": GOOD,
        "b.yaml": b"name: b\ncommand: true && echo ok\n",
        "broken.json": b'{"name": ',
        "c.toml": b'name = "c"\ncommand = "x"\n',
        "latin.yml": b"name: \xe9",
        "sub/d.YML": b"name: d\ncommand: x\n---\nname: e\ncommand: x\n",
        "README.md": b"not a job",
        ".hidden.json": b"{",
        ".git/x.json": b"{",
        "a.json~": b"{",
    }.items():
        (tmp_path / name).write_bytes(content)

    jobs, problems = load_tree(tmp_path)

    assert [job.document.name for job in jobs] == ["a", "b", "c", "d", "e"]
    assert [Path(problem.file).name for problem in problems] == [
        "broken.json",
        "latin.yml",
    ]
    jobs, _ = load_tree(tmp_path, recursive=False)
    assert [job.document.name for job in jobs] == ["a", "b", "c"]


def test_a_name_given_twice_names_both_places(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_bytes(GOOD)
    (tmp_path / "two.yaml").write_bytes(b"# x\nname: a\ncommand: other\n")
    (tmp_path / "three.yaml").write_bytes(b"name: a\nnamespace: ops\ncommand: x\n")

    jobs, problems = load_tree(tmp_path)

    assert [job.key for job in jobs] == [
        ("default", "_standalone_", "a"),
        ("ops", "_standalone_", "a"),
    ]
    [problem] = problems
    assert str(problem) == (
        f'{tmp_path}/two.yaml:2:1: name: "default/_standalone_/a" is also the name of '
        f"the job in {tmp_path}/one.json:1"
    )


def test_links_are_followed_to_files_and_not_to_folders(tmp_path: Path) -> None:
    real = tmp_path / "..data"
    real.mkdir()
    (real / "a.json").write_bytes(GOOD)
    (tmp_path / "a.json").symlink_to("..data/a.json")
    (tmp_path / "circle").symlink_to(tmp_path)
    (tmp_path / "dangling.json").symlink_to("nowhere")

    jobs, problems = load_tree(tmp_path)

    assert [job.document.name for job in jobs] == ["a"]
    assert problems == []


def test_a_folder_that_is_none_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    assert str(load_tree(tmp_path / "none")[1][0]).endswith(
        "there is no such directory"
    )
    assert str(load_tree(tmp_path / "file")[1][0]).endswith("is not a directory")
