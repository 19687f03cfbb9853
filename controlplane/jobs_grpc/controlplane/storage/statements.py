"""SQL lives in `.sql` files; this reads them.

Statements are written with `$1, $2 …` as PostgreSQL wants them and named by a comment
line `-- name: …`. For SQLite the numbers become `?1, ?2 …`.
"""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Final

_NAME: Final = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_PARAMETER: Final = re.compile(r"\$(\d+)")


def load(package: str, file: str) -> dict[str, str]:
    """Return the named statements of a file, numbered for SQLite."""
    text = files(package).joinpath(file).read_text()
    parts = _NAME.split(text)
    return {
        name: _PARAMETER.sub(r"?\1", statement.strip().rstrip(";"))
        for name, statement in zip(parts[1::2], parts[2::2], strict=True)
    }
