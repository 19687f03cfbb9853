"""`{{name}}` in the values of a job.

Only simple names are placeholders: letters, digits and underscores, with space around
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
from typing import Final

# The core fills in by an equal one.
PLACEHOLDER: Final = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")


def placeholders(text: str) -> list[str]:
    """Return the names in `text`, each once, in order of appearance."""
    if "{{" not in text:
        return []
    return list(dict.fromkeys(PLACEHOLDER.findall(text)))
