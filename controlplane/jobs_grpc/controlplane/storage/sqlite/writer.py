"""The one connection that writes.

It lives in a thread of its own, takes whole transactions, and also checkpoints: before
SQLite 3.51.3 two connections that write and checkpoint at once can corrupt the file
(https://sqlite.org/wal.html, "the WAL reset bug"). `synchronous=FULL`: a commit that
returned survives a power cut.

Rows are bound many at a time. Python's sqlite3 gives the interpreter lock back for every
statement it steps, and waits for it again; with one statement for dozens of rows the
event loop is not in that queue thousands of times a second.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from jobs_grpc.controlplane.core.rows.changes import Changes
from jobs_grpc.controlplane.storage.statements import ManyRows, load
from jobs_grpc.controlplane.storage.store import StoreFailedError, TermEndedError

from .migrate import migrate

T = TypeVar("T")

CELL: Final = "main"
_SETTINGS: Final = (
    "pragma journal_mode = wal",
    "pragma synchronous = full",
    "pragma foreign_keys = on",
    "pragma busy_timeout = 5000",
    # 16 MiB of log between checkpoints: fewer pauses, still quick to recover.
    "pragma wal_autocheckpoint = 4000",
    "pragma cache_size = -65536",
    "pragma temp_store = memory",
)

_MANY: Final = frozenset(
    {
        "jobs",
        "job_revisions",
        "schedules",
        "schedule_objects",
        "backfills",
        "backfill_starts",
        "created",
        "moved",
        "ended",
        "holds",
        "breakers",
        "orders",
        "attempts",
        "events",
        "retries",
        "links",
        "dead_letters",
        "decisions",
        "extended",
        "pauses",
        "failure_streaks",
        "joins",
        "cursors",
        "statistics",
        "queues",
        "workers",
        "counts",
        "meta",
    }
)


class Writer:
    """Transactions in order, one at a time, off the event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._statements = load("jobs_grpc.controlplane.storage.sqlite", "writes.sql")
        self._many = {
            name: ManyRows(text)
            for name, text in self._statements.items()
            if name in _MANY
        }
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-writer")
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        await self._run(self._open)

    async def close(self) -> None:
        """Close the connection and end the thread."""
        if self._connection is not None:
            await self._run(self._close)
        self._thread.shutdown(wait=False)

    async def acquire_term(self, *, holder: str, address: str, now: int) -> int:
        def work(connection: sqlite3.Connection) -> int:
            row = connection.execute(
                self._statements["acquire_term"], (CELL, holder, address, now)
            ).fetchone()
            return int(row[0])

        return await self._run(lambda: self._transact(work))

    async def renew_term(self, term: int, now: int) -> None:
        def work(connection: sqlite3.Connection) -> None:
            self._check_term(connection, term)
            connection.execute(self._statements["renew_term"], (CELL, term, now))

        await self._run(lambda: self._transact(work))

    async def commit(self, term: int, changes: Changes) -> None:
        def work(connection: sqlite3.Connection) -> None:
            self._check_term(connection, term)
            self._write(connection, changes)

        await self._run(lambda: self._transact(work))

    def _open(self) -> None:
        connection = sqlite3.connect(
            self._path, isolation_level=None, check_same_thread=False
        )
        self._connection = connection
        for setting in _SETTINGS:
            connection.execute(setting)
        found = connection.execute("pragma quick_check(1)").fetchone()[0]
        if found != "ok":
            raise StoreFailedError(f"{self._path} is damaged: {found}")
        migrate(connection, where=str(self._path.parent))

    def _close(self) -> None:
        assert self._connection is not None
        self._connection.close()
        self._connection = None

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._connection
        if connection is None:
            raise StoreFailedError("the store is closed")
        try:
            connection.execute("begin immediate")
            result = work(connection)
            connection.execute("commit")
        except BaseException:
            if connection.in_transaction:
                connection.execute("rollback")
            raise
        return result

    def _check_term(self, connection: sqlite3.Connection, term: int) -> None:
        current = connection.execute(self._statements["check_term"], (CELL, term))
        if current.fetchone() is None:
            raise TermEndedError(f"term {term} is over: a later leader has begun")

    def _write(self, connection: sqlite3.Connection, changes: Changes) -> None:
        # First, so that a name that becomes free can be taken in the same commit.
        for name, keys in (
            ("deleted_schedules", changes.deleted_schedules),
            ("deleted_schedule_objects", changes.deleted_schedule_objects),
            ("deleted_counts", changes.deleted_schedules),
            ("deleted_jobs", changes.deleted_jobs),
            ("deleted_statistics", changes.deleted_jobs),
            ("deleted_failure_streaks", changes.deleted_jobs),
            ("deleted_joins", changes.deleted_jobs),
            ("deleted_holds", changes.deleted_holds),
            ("deleted_dead_letters", changes.deleted_dead_letters),
        ):
            if keys:
                connection.executemany(self._statements[name], ((key,) for key in keys))
        if changes.deleted_decisions:
            text = self._statements["deleted_decisions"]
            connection.executemany(text, changes.deleted_decisions)
        if changes.forget_pauses_before is not None:
            before = (changes.forget_pauses_before,)
            connection.execute(self._statements["forgotten_pauses"], before)
        for name, rows in (
            ("jobs", changes.jobs),
            ("job_revisions", changes.revisions),
            ("schedules", changes.schedules),
            ("schedule_objects", changes.schedule_objects),
            ("backfills", changes.backfills),
            ("backfill_starts", changes.backfill_starts),
            ("created", changes.created),
            ("moved", changes.moved),
            ("ended", changes.ended),
            ("holds", changes.holds),
            ("breakers", changes.breakers),
            ("orders", changes.orders),
            ("attempts", changes.attempts),
            ("events", changes.events),
            ("retries", changes.retries),
            ("links", changes.links),
            ("dead_letters", changes.dead_letters),
            ("decisions", changes.decisions),
            ("extended", changes.extended),
            ("pauses", changes.pauses),
            ("failure_streaks", changes.failure_streaks),
            ("joins", changes.joins),
            ("cursors", changes.cursors),
            ("statistics", changes.statistics),
            ("queues", changes.queues),
            ("workers", changes.workers),
            ("counts", changes.counts),
            ("meta", changes.meta),
        ):
            for text, parameters in self._many[name].groups(rows):
                connection.execute(text, parameters)

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (sqlite3.Error, OverflowError, UnicodeEncodeError) as error:
            raise StoreFailedError(f"{self._path}: {error}") from error
