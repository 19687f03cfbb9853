"""Numbered migrations, applied in order, each in its own transaction.

A store that knows a migration which this program does not, or knows it with another
text, was written by another program; it is refused, because reading half of what it means
would be worse than not reading it.
"""

from __future__ import annotations

import hashlib
import sqlite3
from importlib.resources import files
from typing import Final

from jobs_grpc.controlplane.storage.store import StoreVersionError

_PACKAGE: Final = "jobs_grpc.controlplane.storage.sqlite"
_LEDGER: Final = """
create table if not exists migrations (
    version integer primary key, name text not null, sha256 text not null
)
"""


def known() -> list[tuple[int, str, str]]:
    """Return (version, name, text) of every migration, in order."""
    folder = files(_PACKAGE).joinpath("migrations")
    return sorted(
        (int(entry.name[:4]), entry.name.removesuffix(".sql"), entry.read_text())
        for entry in folder.iterdir()
        if entry.name.endswith(".sql")
    )


def migrate(connection: sqlite3.Connection, *, where: str) -> None:
    """Bring the schema up to date, or raise `StoreVersionError`."""
    connection.execute(_LEDGER)
    applied = dict(connection.execute("select version, sha256 from migrations"))
    steps = known()
    newest = steps[-1][0]
    beyond = max(applied, default=0)
    if beyond > newest:
        raise StoreVersionError(
            f"the data in {where} was written by a newer version of jobs-grpc (schema"
            f" {beyond}, this program knows {newest}); upgrade the program"
        )
    for version, name, text in steps:
        digest = hashlib.sha256(text.encode()).hexdigest()
        if version in applied:
            if applied[version] != digest:
                raise StoreVersionError(
                    f"the data in {where} was written by another build of jobs-grpc"
                    f" (its schema {name} differs); use the program that wrote it"
                )
            continue
        # `executescript` commits what is open, so the transaction is part of the text.
        connection.executescript(
            "begin exclusive;\n"
            f"{text}\n"
            f"insert into migrations values ({version}, '{name}', '{digest}');\n"
            "commit;"
        )
