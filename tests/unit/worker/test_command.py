from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from jobs_grpc.worker.processes.command import (
    UnfitWorkError,
    command_argv,
    script_argv,
)
from jobs_grpc.worker.processes.environment import PATH
from jobs_grpc.worker.processes.outputs import OutputDirectories
from jobs_grpc.worker.processes.places import Places
from jobs_grpc.worker.work import Command, Script
from unit.worker.stand_ins import a_lease


def test_a_line_goes_to_the_shell_and_a_vector_does_not() -> None:
    assert command_argv(Command(line="a && b")) == ("/bin/sh", "-c", "a && b")
    assert command_argv(Command(argv=("a", "&&", "$b"))) == ("a", "&&", "$b")
    with pytest.raises(UnfitWorkError, match="empty"):
        command_argv(Command())


@pytest.mark.parametrize(
    ("text", "interpreter", "before"),
    [
        ("#!/bin/sh\necho", "", ()),
        ("#!/usr/bin/env python3\n", "bash", ()),
        ("echo", "", ("/bin/sh",)),
        ("echo", "bash", ("bash",)),
        ("echo", "sh", ("sh",)),
        ("echo", "/opt/ruby", ("/opt/ruby",)),
        ("echo", "pwsh", ("pwsh", "-NoLogo", "-NonInteractive", "-File")),
    ],
)
def test_the_first_line_decides_and_then_the_interpreter(
    tmp_path: Path, text: str, interpreter: str, before: tuple[str, ...]
) -> None:
    argv = script_argv(Script(text, interpreter), tmp_path, {"PATH": PATH})
    assert argv[:-1] == before
    path = Path(argv[-1])
    assert path.read_text() == text
    assert path.stat().st_mode & 0o777 == 0o700
    assert (path.suffix == ".ps1") == (interpreter == "pwsh")


def test_python_is_found_on_the_jobs_own_path_or_is_this_one(tmp_path: Path) -> None:
    own = tmp_path / "bin" / "python3"
    own.parent.mkdir()
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    script = Script("print()", "python")
    found = script_argv(script, tmp_path, {"PATH": str(own.parent)})
    assert found[0] == str(own)
    assert script_argv(script, tmp_path, {"PATH": "/nowhere"})[0] == sys.executable


def test_a_script_may_be_written_twice_and_hold_any_text(tmp_path: Path) -> None:
    script_argv(Script("#!/bin/sh\nexit 1"), tmp_path, {})
    argv = script_argv(Script("#!/bin/sh\nprintf 'grün'"), tmp_path, {})
    assert subprocess.check_output(argv).decode() == "grün"


def test_an_empty_script_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnfitWorkError, match="empty"):
        script_argv(Script(" \n"), tmp_path, {})


class TestPlaces:
    def test_a_workspace_has_a_directory_made_on_demand(self, tmp_path: Path) -> None:
        lease = a_lease(namespace="ops", workspace="my-app")
        home = Path(Places(tmp_path).working_directory(lease))
        assert home == tmp_path / "deployments/ops/my-app"
        assert home.is_dir()

    def test_a_directory_of_the_job_must_exist(self, tmp_path: Path) -> None:
        places = Places(tmp_path)
        relative = a_lease(working_dir="data/x")
        with pytest.raises(UnfitWorkError, match=r"data/x does not exist"):
            places.working_directory(relative)
        wanted = Path(places.working_directory(a_lease())) / "data/x"
        wanted.mkdir(parents=True)
        assert places.working_directory(relative) == str(wanted)
        assert places.working_directory(a_lease(working_dir="/tmp/../tmp")) == "/tmp"

    @pytest.mark.parametrize("name", ["..", ".", "", "a/b", "a\0b"])
    def test_names_cannot_leave_the_deployments(
        self, tmp_path: Path, name: str
    ) -> None:
        places = Places(tmp_path)
        with pytest.raises(UnfitWorkError, match="name of a directory"):
            places.working_directory(a_lease(workspace=name))
        with pytest.raises(UnfitWorkError, match="name of a directory"):
            places.working_directory(a_lease(namespace=name))

    def test_the_directory_of_an_attempt_is_private(self, tmp_path: Path) -> None:
        places = Places(tmp_path)
        for _ in range(2):
            made = Path(places.make_private(7))
        assert made == tmp_path / "keeper/attempts/7"
        assert made.stat().st_mode & 0o777 == 0o700
        (made / "script").write_text("x")
        places.remove_private(7)
        assert not made.exists()


class TestOutputDirectories:
    def made(self, directory: Path, *in_use: int) -> OutputDirectories:
        directories = OutputDirectories(directory)
        directories.open(in_use)
        return directories

    def test_an_empty_directory_is_used_again(self, tmp_path: Path) -> None:
        directories = self.made(tmp_path)
        first, second = directories.take(), directories.take()
        assert first != second
        assert Path(directories.path(first)).stat().st_mode & 0o777 == 0o700
        assert directories.give_back(first)
        assert directories.take() == first

    def test_what_is_not_as_it_was_is_not_used_again(self, tmp_path: Path) -> None:
        directories = self.made(tmp_path)
        filled, opened, gone, linked = (directories.take() for _ in range(4))
        (tmp_path / str(filled) / "file").write_text("x")
        (tmp_path / str(opened)).chmod(0o755)
        (tmp_path / str(gone)).rmdir()
        (tmp_path / str(linked)).rmdir()
        (tmp_path / str(linked)).symlink_to(tmp_path)
        for number in (filled, opened, gone, linked):
            assert not directories.give_back(number)
        directories.remove(filled)
        assert not (tmp_path / str(filled)).exists()
        assert directories.take() > linked

    def test_the_next_process_keeps_what_is_in_use(self, tmp_path: Path) -> None:
        before = self.made(tmp_path)
        used, empty, filled = before.take(), before.take(), before.take()
        (tmp_path / str(used) / "file").write_text("x")
        (tmp_path / str(filled) / "file").write_text("x")
        after = self.made(tmp_path, used)
        assert (tmp_path / str(used) / "file").exists()
        assert not (tmp_path / str(filled)).exists()
        assert after.take() == empty
        assert after.take() > filled
