"""How SQLite answers what is asked of it: by an index, whatever the history."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from typing import Final

import pytest

from jobs_grpc.controlplane.storage.sqlite.migrate import migrate
from jobs_grpc.controlplane.storage.statements import load

READS: Final = load("jobs_grpc.controlplane.storage.sqlite", "reads.sql")
# They grow with every run, for as long as it is kept.
HISTORY: Final = frozenset(
    {
        "executions",
        "decisions",
        "attempts",
        "execution_events",
        "execution_links",
        "dead_letters",
        "backfill_starts",
        "e",
        "d",
    }
)
# Each with the reason why it may read more than it returns.
ALLOWED: Final = {
    # Of all jobs at once, by time: an index for it would be another write for each
    # decision of the hot path. Listings of one job have theirs.
    "decisions": "SCAN decisions",
}
_READ = re.compile(r"SCAN (\w+)(.*)")


@pytest.fixture(scope="module")
def plans() -> Iterator[dict[str, list[str]]]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, where="memory")
    found = {}
    for name, text in READS.items():
        numbers = [int(one) for one in re.findall(r"\?(\d+)", text)]
        rows = connection.execute(
            f"explain query plan {text}", [None] * max(numbers, default=0)
        )
        found[name] = [row[3] for row in rows]
    yield found
    connection.close()


@pytest.mark.parametrize("name", sorted(READS))
def test_no_read_walks_through_history(plans: dict[str, list[str]], name: str) -> None:
    for step in plans[name]:
        read = _READ.match(step)
        # A partial index holds the few rows that the statement is for.
        if read is None or read.group(1) not in HISTORY or "USING" in read.group(2):
            continue
        assert step == ALLOWED.get(name), f"{name} walks: {step}"


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("executions", "INTEGER PRIMARY KEY"),
        ("executions_of_job", "executions_by_job"),
        ("executions_unsuccessful", "executions_unsuccessful"),
        ("executions_unfinished", "executions_active"),
        ("decisions_of_job", "decisions_by_job"),
        ("active_executions", "executions_lost"),
        ("started", "PRIMARY KEY"),
    ],
)
def test_a_listing_goes_by_its_index(
    plans: dict[str, list[str]], name: str, index: str
) -> None:
    assert any(index in step for step in plans[name]), plans[name]
    if name in {"executions", "executions_of_job", "executions_unsuccessful"}:
        # In its order, so the first page is read and no more.
        assert not any("TEMP B-TREE" in step for step in plans[name])


def test_an_index_of_rare_states_costs_a_success_nothing() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, where="memory")
    rows = dict(
        connection.execute(
            "select name, sql from sqlite_master where name in"
            " ('executions_lost', 'executions_unsuccessful')"
        )
    )
    connection.close()
    assert "where state = 'lost'" in rows["executions_lost"]
    assert "state <> 'succeeded'" in rows["executions_unsuccessful"]
