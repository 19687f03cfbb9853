"""From what a job says to an argument vector.

A command line is run by `/bin/sh -c`; a vector is run as it stands, no shell sees it. A
script becomes a private file. Its own first line decides what runs it; without one the
job's `interpreter` does, and `/bin/sh` where there is none.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from jobs_grpc.worker.work import Command, Script

SHELL: Final = "/bin/sh"


class UnfitWorkError(Exception):
    """The work cannot be made into a process; the text is a sentence for the user."""


def command_argv(command: Command) -> tuple[str, ...]:
    """Return the argument vector of a command."""
    if command.argv:
        return command.argv
    if not command.line:
        raise UnfitWorkError("the command is empty")
    return (SHELL, "-c", command.line)


def script_argv(
    script: Script, directory: Path, environment: Mapping[str, str]
) -> tuple[str, ...]:
    """Write the script into `directory`, return the argument vector that runs it."""
    if not script.text.strip():
        raise UnfitWorkError("the script is empty")
    is_powershell = script.interpreter in {"pwsh", "powershell"}
    # PowerShell takes a file for a script by its suffix only.
    path = directory / ("script.ps1" if is_powershell else "script")
    _write(path, script.text)
    if script.text.startswith("#!"):
        return (str(path),)
    return (*_interpreter(script.interpreter, environment), str(path))


def _interpreter(name: str, environment: Mapping[str, str]) -> tuple[str, ...]:
    match name:
        case "":
            return (SHELL,)
        case "python":
            return (_python(environment.get("PATH", "")),)
        case "pwsh" | "powershell":
            return (name, "-NoLogo", "-NonInteractive", "-File")
        case _:
            return (name,)


def _python(path: str) -> str:
    """Many hosts have no `python`; the one that runs this daemon is always there."""
    return (
        shutil.which("python3", path=path)
        or shutil.which("python", path=path)
        or sys.executable
    )


def _write(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)  # left by an earlier try at this start
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o700)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text.encode("utf-8", "surrogateescape"))
