"""The command lines of a service (`ExecStart=`) as one command of a job.

systemd splits a line into words itself and replaces variables without a shell:
`${NAME}` inside a word is one word, `$NAME` as a word is split at blanks. One line that
needs neither is an argument vector here; anything else becomes a line for /bin/sh that
does the same.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Final, NamedTuple

from jobs_grpc.client.importing.systemd_units import words

_PREFIXES: Final = "-@:+!|"
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_WORD_VARIABLE: Final = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")


class CommandError(ValueError):
    """A command line that is not understood; the text says why."""


class Line(NamedTuple):
    """One command line: its words, and what its prefixes ask for."""

    words: tuple[str, ...]
    ignores_failure: bool
    # `:` in front: no variable is replaced.
    is_plain: bool
    # Prefixes about privileges, which are not carried over.
    privileges: str

    @property
    def has_variables(self) -> bool:
        return not self.is_plain and any("$" in word for word in self.words)


def read_line(text: str) -> Line:
    """Return the words of an `ExecStart=`; raises `CommandError`."""
    stripped = text.lstrip(_PREFIXES)
    prefixes = text[: len(text) - len(stripped)]
    found = words(stripped)
    if not found:
        raise CommandError(f"{text!r} is no command line")
    if "@" in prefixes and len(found) > 1:
        # The second word is only the name that the process sees; no shell can set it.
        del found[1]
    return Line(
        words=tuple(found),
        ignores_failure="-" in prefixes,
        is_plain=":" in prefixes,
        privileges="".join(one for one in prefixes if one in "+!"),
    )


def command_of(lines: Sequence[Line]) -> str | list[str]:
    """Return the lines, in their order, as the command of a job."""
    if len(lines) == 1 and not lines[0].has_variables and not lines[0].ignores_failure:
        one = lines[0]
        return [_dollars(word, is_plain=one.is_plain) for word in one.words]
    return " && ".join(_shell(line) for line in lines)


def _shell(line: Line) -> str:
    text = " ".join(_shell_word(word, is_plain=line.is_plain) for word in line.words)
    return f"{{ {text} || true; }}" if line.ignores_failure else text


def _shell_word(word: str, *, is_plain: bool) -> str:
    if is_plain or "$" not in word:
        return shlex.quote(word)
    if _WORD_VARIABLE.fullmatch(word):
        return word  # the shell splits it as systemd does
    pieces = []
    position = 0
    for match in _VARIABLE.finditer(word):
        if match.start() > 0 and word[match.start() - 1] == "$":
            continue  # `$${X}` is a plain `${X}`
        pieces.append(_quoted(word[position : match.start()]))
        pieces.append(f'"{match[0]}"')
        position = match.end()
    pieces.append(_quoted(word[position:]))
    return "".join(pieces) or "''"


def _quoted(text: str) -> str:
    return shlex.quote(_dollars(text, is_plain=False)) if text else ""


def _dollars(text: str, *, is_plain: bool) -> str:
    return text if is_plain else text.replace("$$", "$")
