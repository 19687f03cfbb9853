"""SQL lives in `.sql` files; this reads them.

Statements are written with `$1, $2 …` as PostgreSQL wants them and named by a comment
line `-- name: …`. For SQLite the numbers become `?1, ?2 …`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from itertools import chain
from typing import Any, Final

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


_ROW: Final = re.compile(r"values (\([?\d,\s]+\))")


class ManyRows:
    """A statement over `values (…)`, for as many rows as there are.

    Rows are written in groups of a few fixed sizes, so that the database prepares a
    handful of texts and no more.
    """

    SIZES: Final = (512, 64, 8, 1)

    def __init__(self, statement: str) -> None:
        row = _ROW.search(statement)
        if row is None:
            raise ValueError(f"no `values (…)` in: {statement}")
        single = "(" + ", ".join("?" * row.group(1).count("?")) + ")"
        self._texts = {
            size: statement[: row.start(1)]
            + ", ".join([single] * size)
            + statement[row.end(1) :]
            for size in self.SIZES
        }

    def groups(self, rows: Sequence[Sequence[Any]]) -> Iterator[tuple[str, list[Any]]]:
        """Yield texts with their parameters, which together write all rows in order."""
        start = 0
        for size in self.SIZES:
            while len(rows) - start >= size:
                group = rows[start : start + size]
                yield self._texts[size], list(chain.from_iterable(group))
                start += size
