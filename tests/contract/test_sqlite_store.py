"""What only a store on a disk can promise: it is held, versioned, durable and honest."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from jobs_grpc.controlplane.core.rows.changes import Changes
from jobs_grpc.controlplane.storage.sqlite import SqliteStore
from jobs_grpc.controlplane.storage.sqlite.migrate import known, migrate
from jobs_grpc.controlplane.storage.store import (
    ExecutionFilter,
    StoreFailedError,
    StoreHeldError,
    StoreVersionError,
)
from support.jobs import NAMESPACE, NOON, created_row
from support.small_disk import small_disk

ALL = ExecutionFilter(NAMESPACE)

HOLDER = """
import asyncio, sys
from pathlib import Path
from jobs_grpc.controlplane.storage.sqlite import SqliteStore

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    await store.open()
    print("held", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""

# Commits one execution after the other, and says each number once it is durable.
WRITER = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from jobs_grpc.controlplane.core.rows.changes import Changes
from jobs_grpc.controlplane.storage.sqlite import SqliteStore
from support.jobs import created_row

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    await store.open()
    term = await store.acquire_term(holder="h", address="a", now=1)
    number = int(sys.argv[2])
    while True:
        rows = tuple(created_row(number + part) for part in range(50))
        await store.commit(term, Changes(created=rows))
        number += 50
        print(number - 1, flush=True)

asyncio.run(main())
"""


@asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(directory)
    try:
        await store.open()
        yield store
    finally:
        await store.close()


async def begin(store: SqliteStore) -> int:
    return await store.acquire_term(holder="h", address="a", now=NOON)


@contextmanager
def program(text: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        [sys.executable, "-c", text, *arguments], stdout=subprocess.PIPE, text=True
    )
    with child:
        try:
            yield child
        finally:
            child.kill()


# Held by one process.


async def test_a_second_process_is_refused_and_told_who_holds_the_store(
    tmp_path: Path,
) -> None:
    with program(HOLDER, str(tmp_path)) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StoreHeldError) as refused:
            async with opened(tmp_path):
                pass
        message = str(refused.value)
        assert str(tmp_path) in message
        assert f"process {holder.pid}" in message
        assert "--data" in message
        holder.kill()
        holder.wait()
    async with opened(tmp_path) as store:
        assert await begin(store) == 1


async def test_a_second_store_in_one_process_is_refused_too(tmp_path: Path) -> None:
    async with opened(tmp_path):
        with pytest.raises(StoreHeldError):
            async with opened(tmp_path):
                pass
    async with opened(tmp_path):
        pass


async def test_a_store_that_could_not_be_opened_is_not_held(tmp_path: Path) -> None:
    (tmp_path / "jobs.db").write_bytes(b"no database" * 1_000)
    with pytest.raises(StoreFailedError):
        async with opened(tmp_path):
            pass
    (tmp_path / "jobs.db").unlink()
    async with opened(tmp_path):
        pass


async def test_the_directory_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "b"
    async with opened(directory):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700


# Versions.


async def test_terms_and_rows_outlive_the_process(tmp_path: Path) -> None:
    for number in range(1, 4):
        async with opened(tmp_path) as store:
            assert await begin(store) == number
            await store.commit(number, Changes(created=(created_row(number),)))
            assert len(await store.executions(ALL, 10)) == number


async def test_data_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path):
        pass
    with sqlite3.connect(tmp_path / "jobs.db") as connection:
        connection.execute("insert into migrations values (9999, 'later', 'x')")
    connection.close()
    with pytest.raises(StoreVersionError) as refused:
        async with opened(tmp_path):
            pass
    assert "newer version" in str(refused.value)
    assert str(tmp_path) in str(refused.value)
    assert "9999" in str(refused.value)


async def test_data_of_another_build_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path):
        pass
    with sqlite3.connect(tmp_path / "jobs.db") as connection:
        connection.execute("update migrations set sha256 = 'other' where version = 1")
    connection.close()
    with pytest.raises(StoreVersionError, match="another build"):
        async with opened(tmp_path):
            pass


def test_migrations_are_numbered_without_a_gap() -> None:
    assert [version for version, _, _ in known()] == list(range(1, len(known()) + 1))


def test_migrations_run_once_and_are_noted_with_their_checksum() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, where="here")
    ledger = connection.execute("select * from migrations").fetchall()
    assert [(row[0], row[1]) for row in ledger] == [
        (version, name) for version, name, _ in known()
    ]
    assert all(len(row[2]) == 64 for row in ledger)
    connection.execute("insert into queues values ('kept', 1, 0, 0)")
    migrate(connection, where="here")
    assert connection.execute("select * from migrations").fetchall() == ledger
    assert connection.execute("select count(*) from queues").fetchone() == (1,)
    connection.close()


# Damage.


async def test_a_file_that_is_no_database_is_reported(tmp_path: Path) -> None:
    (tmp_path / "jobs.db").write_bytes(os.urandom(8_192))
    with pytest.raises(StoreFailedError, match=r"jobs\.db"):
        async with opened(tmp_path):
            pass


async def test_a_damaged_database_is_reported(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        term = await begin(store)
        rows = tuple(created_row(number) for number in range(1, 2_000))
        await store.commit(term, Changes(created=rows))
    path = tmp_path / "jobs.db"
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 // 4_096 * 4_096
    content[middle : middle + 4_096] = bytes(4_096)
    path.write_bytes(content)
    with pytest.raises(StoreFailedError) as refused:
        async with opened(tmp_path):
            pass
    assert str(path) in str(refused.value)


# Durable.


async def test_what_was_acknowledged_outlives_kill_9(tmp_path: Path) -> None:
    source = random.Random(5)
    tests = str(Path(__file__).resolve().parents[1])
    start = 1
    for _ in range(3):
        with program(WRITER, str(tmp_path), str(start), tests) as writer:
            assert writer.stdout is not None
            acknowledged = [int(writer.stdout.readline())]
            time.sleep(source.uniform(0, 0.15))
            writer.send_signal(signal.SIGKILL)
            acknowledged += [int(line) for line in writer.stdout if line.endswith("\n")]
        async with opened(tmp_path) as store:
            rows = [row.seq for row in await store.executions(ALL, 1_000_000)]
        rows.reverse()
        assert rows == list(range(1, rows[-1] + 1))
        assert rows[-1] >= acknowledged[-1]
        assert rows[-1] % 50 == 0
        start = rows[-1] + 1


async def fill(store: SqliteStore, term: int, start: int) -> int:
    """Commit large rows until the disk is full; return the last number committed."""
    for number in range(start, start + 2_000):
        large = created_row(number, document_json="x" * 20_000)
        try:
            await store.commit(term, Changes(created=(large,)))
        except StoreFailedError as error:
            assert "full" in str(error)  # noqa: PT017 - when it fails is not known
            return number - 1
    raise AssertionError("the disk is larger than the test thinks")


async def still_stands(store: SqliteStore, term: int, last: int) -> None:
    """Check that nothing but the failed commit is missing."""
    rows = [row.seq for row in await store.executions(ALL, 1_000_000)]
    assert rows == list(range(last, 0, -1))
    await store.load_active()
    assert last > 1
    large = created_row(last + 1, document_json="x" * 5_000_000)
    with pytest.raises(StoreFailedError):
        await store.commit(term, Changes(created=(large,)))


async def test_a_full_database_fails_the_commit_and_nothing_else(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as store:
        term = await begin(store)

        def limit(pages: int) -> None:
            connection = store._writer._connection
            assert connection is not None
            connection.execute(f"pragma max_page_count = {pages}")

        await store._writer._run(lambda: limit(200))
        last = await fill(store, term, 1)
        await still_stands(store, term, last)
        await store._writer._run(lambda: limit(1_000_000))
        await store.commit(term, Changes(created=(created_row(last + 1),)))
        await store.renew_term(term, NOON)
        assert await begin(store) == term + 1


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk") as mounted:
        yield mounted


async def test_a_full_disk_fails_the_commit_and_leaves_a_store_that_works_later(
    disk: Path,
) -> None:
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(512 * 1_024))
    async with opened(disk / "data") as store:
        term = await begin(store)
        last = await fill(store, term, 1)
        await still_stands(store, term, last)
        ballast.unlink()
        await store.commit(term, Changes(created=(created_row(last + 1),)))
        assert await begin(store) == term + 1
    async with opened(disk / "data") as store:
        assert len(await store.executions(ALL, 10_000)) == last + 1


# Order.


async def test_commits_are_written_in_the_order_in_which_they_were_handed_in(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as store:
        term = await begin(store)
        commits = [
            asyncio.create_task(
                store.commit(term, Changes(created=(created_row(number),)))
            )
            for number in range(1, 51)
        ]
        following = asyncio.create_task(begin(store))
        await asyncio.gather(*commits)
        assert await following == term + 1
        assert len(await store.executions(ALL, 100)) == 50
