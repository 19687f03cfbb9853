"""Connections that read: committed facts, beside the writer and never in its way."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import aiosqlite

from jobs_grpc.controlplane.storage.statements import load
from jobs_grpc.controlplane.storage.store import StoreFailedError

# Reads are short; two hide one slow listing from everyone else.
CONNECTIONS: Final = 2


class Reader:
    """A few read-only connections, used in turn."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._statements = load("jobs_grpc.controlplane.storage.sqlite", "reads.sql")
        self._idle: asyncio.Queue[aiosqlite.Connection] = asyncio.Queue()
        self._all: list[aiosqlite.Connection] = []

    async def open(self) -> None:
        for _ in range(CONNECTIONS):
            connection = await aiosqlite.connect(
                f"file:{self._path}?mode=ro", uri=True, isolation_level=None
            )
            self._all.append(connection)
            await connection.execute("pragma query_only = on")
            self._idle.put_nowait(connection)

    async def close(self) -> None:
        """Close every connection; their threads keep the process alive until then."""
        for connection in self._all:
            await connection.close()
        self._all.clear()

    async def fetch(self, name: str, *parameters: Any) -> Sequence[Any]:
        """Return all rows of a named statement."""
        return await self._fetch(self._statements[name], parameters)

    async def _fetch(self, text: str, parameters: Iterable[Any]) -> Sequence[Any]:
        connection = await self._idle.get()
        try:
            return list(await connection.execute_fetchall(text, tuple(parameters)))
        except sqlite3.Error as error:
            raise StoreFailedError(f"{self._path}: {error}") from error
        finally:
            self._idle.put_nowait(connection)
