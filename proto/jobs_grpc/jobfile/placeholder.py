"""`{{name}}` in the values of a job.

Only simple names are placeholders: letters, digits and underscores, with spaces around
them if you like. Everything else that other tools write in double braces, such as
`{{.Names}}` or `{{ item.path }}`, stays as it is.

Values are put into environment values, the working directory, the elements of an
argument vector and the standard input, and **never into a command string or a script**:
those are read by a shell, and a value with a quote or a semicolon in it would become
code. Hand values to a shell through the environment, where they stay data:

    environment: {DATABASE: "{{database}}"}
    command: pg_dump "$DATABASE" > dump.sql

A value is put in once and is not searched again, so a value that contains braces cannot
pull in another one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

PLACEHOLDER: Final = re.compile(r"\{\{ *([A-Za-z_][A-Za-z0-9_]*) *\}\}")


class UnresolvedPlaceholder(Exception):  # noqa: N818 - reads as the fact it states
    """A placeholder has no value; the job must not start."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"nothing has a value for the placeholder {{{{{name}}}}}")


def placeholders(text: str) -> list[str]:
    """Return the names in `text`, each once, in order of appearance."""
    if "{{" not in text:
        return []
    return list(dict.fromkeys(PLACEHOLDER.findall(text)))


def render(text: str, values: Mapping[str, str]) -> str:
    """Return `text` with every placeholder replaced by its value.

    Raises:
        UnresolvedPlaceholder: a name has no value.
    """
    if "{{" not in text:
        return text
    pieces = PLACEHOLDER.split(text)
    for index in range(1, len(pieces), 2):
        name = pieces[index]
        if name not in values:
            raise UnresolvedPlaceholder(name)
        pieces[index] = values[name]
    return "".join(pieces)
