"""Names for jobs that had none, unique among all that are imported together."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from typing import Final

_UNFIT: Final = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST: Final = 60
_SUFFIXES: Final = (".sh", ".bash", ".py", ".pl", ".rb", ".php")
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
# Programs that only begin another one; the words after them that are theirs are options.
_WRAPPERS: Final = frozenset(
    [
        "sudo", "nice", "ionice", "nohup", "time", "timeout", "env", "exec", "chronic",
        "flock", "setsid", "systemd-cat", "sh", "bash", "dash", "zsh", "python",
        "python3", "perl", "php", "ruby", "anacron", "then", "if",
    ]
)  # fmt: skip
# Commands that prepare or test, before the one that the line is for.
_PREAMBLES: Final = frozenset(["cd", "test", "[", "[[", ".", "source", "export", "set"])
_DIVIDERS: Final = frozenset(["&&", "||", ";", "|", "{", "}", "(", ")", "&"])


def name_of_command(command: str) -> str:
    """Return a name for a shell command: that of the program that it is about."""
    for words in _simple_commands(command):
        for word in words:
            if _ASSIGNMENT.match(word) or word.startswith("-"):
                continue
            base = word.rpartition("/")[2]
            if base in _WRAPPERS or base.isdigit() or "/lock" in word:
                continue
            if base in _PREAMBLES:
                break
            return slug(base)
    return "job"


def slug(text: str) -> str:
    """Return `text` as the name of a job."""
    for suffix in _SUFFIXES:
        text = text.removesuffix(suffix)
    name = _UNFIT.sub("-", text).strip("-._")[:_LONGEST].rstrip("-._")
    return name or "job"


class Names:
    """Hands out names, each once."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    def take(self, wanted: str) -> str:
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted}-{number}"
        self._taken.add(name)
        return name


def _simple_commands(command: str) -> list[list[str]]:
    lexer = shlex.shlex(command, posix=True, punctuation_chars="();&|")
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        words = list(lexer)
    except ValueError:  # quotes that do not close are the shell's to complain about
        words = command.split()
    found: list[list[str]] = [[]]
    for word in words:
        if word in _DIVIDERS:
            found.append([])
        else:
            found[-1].append(word)
    return found
