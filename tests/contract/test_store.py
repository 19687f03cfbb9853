"""One suite for every store: what `storage/store.py` promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from jobs_grpc.controlplane.core.rows.changes import (
    Changes,
    CountRow,
    CursorRow,
    ExecutionRow,
    FailureStreakRow,
    MetaRow,
    RevisionRow,
)
from jobs_grpc.controlplane.core.rows.fleet import OrderRow
from jobs_grpc.controlplane.core.rows.schedules import BackfillRow, JoinRow
from jobs_grpc.controlplane.core.rows.story import DeadLetterRow, LinkRow, RetryRow
from jobs_grpc.controlplane.storage.memory import MemoryStore
from jobs_grpc.controlplane.storage.sqlite import SqliteStore
from jobs_grpc.controlplane.storage.statements import ManyRows
from jobs_grpc.controlplane.storage.store import (
    DeadLetterFilter,
    DecisionFilter,
    ExecutionFilter,
    PauseFilter,
    QueueDepth,
    Store,
    StoreFailedError,
    TermEndedError,
)
from support.jobs import (
    HOUR,
    NAMESPACE,
    NOON,
    SECOND,
    attempt_row,
    backfill_row,
    backfill_start_row,
    breaker_row,
    created_row,
    decision_row,
    ended_row,
    event_row,
    extended_row,
    hold_row,
    job_row,
    key,
    moved_row,
    pause_row,
    queue_row,
    schedule_object_row,
    schedule_row,
    statistics_row,
    worker_row,
)


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    made: Store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def term(store: Store) -> int:
    return await begin(store)


async def begin(store: Store) -> int:
    return await store.acquire_term(holder="h", address="a", now=NOON)


async def ids(store: Store, wanted: ExecutionFilter, limit: int = 100) -> list[str]:
    return [row.id for row in await store.executions(wanted, limit)]


ALL = ExecutionFilter(NAMESPACE)


# Schedules as objects.


async def test_schedule_objects_come_back_as_last_written_until_they_go(
    store: Store, term: int
) -> None:
    first = schedule_object_row("s1")
    later = schedule_object_row("s2", entry_json="", created_at=NOON + SECOND)
    await store.commit(term, Changes(schedule_objects=(later, first)))
    changed = first._replace(revision=2, enabled=0, disabled_until=NOON + HOUR)
    await store.commit(term, Changes(schedule_objects=(changed,)))
    assert (await store.load_active()).schedule_objects == (changed, later)
    await store.commit(term, Changes(deleted_schedule_objects=("s1", "nobody")))
    assert (await store.load_active()).schedule_objects == (later,)


async def test_executions_of_some_states_come_newest_first_page_by_page(
    store: Store, term: int
) -> None:
    states = ["failed", "succeeded", "lost", "failed", "cancelled", "succeeded"]
    numbers = range(1, len(states) + 1)
    await store.commit(
        term,
        Changes(
            created=(*(created_row(n) for n in numbers), created_row(7)),
            ended=tuple(
                ended_row(n, state=state)
                for n, state in zip(numbers, states, strict=True)
            ),
        ),
    )

    async def numbered(*wanted: str, **fields: Any) -> list[int]:
        limit = fields.pop("limit", 9)
        found = ExecutionFilter(NAMESPACE, states=wanted, **fields)
        return [row.seq for row in await store.executions(found, limit)]

    assert await numbered("failed", "lost", "pending") == [7, 4, 3, 1]
    assert await numbered("failed", "lost", "pending", limit=2) == [7, 4]
    assert await numbered("failed", "lost", "pending", before=4, limit=2) == [3, 1]
    assert await numbered("failed", "failed") == [4, 1]
    assert await numbered("succeeded", "failed") == [6, 4, 2, 1]
    assert await numbered("failed", job="job-1") == [4, 1]
    assert await numbered("failed", workspace="shop") == []
    assert await numbered("running") == []


# Backfills.


async def test_backfills_come_back_as_last_written(store: Store, term: int) -> None:
    first = backfill_row(1)
    second = backfill_row(2, job="other", workspace="shop")
    await store.commit(term, Changes(backfills=(first, second)))
    moved = first._replace(state="paused", cursor=NOON, started=3, reason="by alice")
    ended = second._replace(state="completed", finished_at=NOON)
    await store.commit(term, Changes(backfills=(moved, ended)))

    async def listed(**fields: Any) -> list[BackfillRow]:
        usual = {"workspace": "", "job": "", "before": None, "limit": 9}
        found = await store.backfills(namespace=NAMESPACE, **{**usual, **fields})
        return list(found)

    assert await listed() == [ended, moved]
    assert await listed(before=2) == await listed(job="job-1") == [moved]
    assert await listed(workspace="shop") == await listed(limit=1) == [ended]
    assert await store.backfills(
        namespace="ops", workspace="", job="", before=None, limit=9
    ) in ([], ())
    find = store.find_backfills
    assert list(await find(namespace=NAMESPACE, prefix="b0001", limit=2)) == [moved]
    assert len(await find(namespace=NAMESPACE, prefix="b", limit=2)) == 2
    assert not await find(namespace="ops", prefix="b", limit=2)


async def test_unfinished_backfills_are_loaded_with_what_was_started_in_their_range(
    store: Store, term: int
) -> None:
    row = backfill_row(1, start=NOON, end=NOON + 3 * HOUR)
    over = backfill_row(2, finished_at=NOON)
    await store.commit(
        term,
        Changes(
            backfills=(row, over),
            revisions=(RevisionRow(1, 1, '{"name":"job-1"}', NOON),),
            backfill_starts=(
                backfill_start_row("s1", NOON),
                backfill_start_row("s1", NOON + 3 * HOUR),
                backfill_start_row("s2", NOON),
            ),
            decisions=(
                decision_row("s1", NOON + HOUR),
                decision_row(
                    "s1", NOON + 2 * HOUR, outcome="skipped", reason="overlap"
                ),
                decision_row("s1", NOON - HOUR),
            ),
        ),
    )
    state = await store.load_active()
    ((loaded, started),) = state.backfills
    assert loaded == row
    assert set(started) == {("s1", NOON), ("s1", NOON + HOUR)}
    assert state.documents == {(1, 1): '{"name":"job-1"}'}
    found = await store.started(["s1", "s2"], start=NOON, end=NOON + HOUR)
    assert set(found) == {("s1", NOON), ("s2", NOON)}


async def test_no_due_time_is_started_by_two_backfills(store: Store, term: int) -> None:
    await store.commit(term, Changes(backfill_starts=(backfill_start_row(),)))
    again = Changes(backfill_starts=(backfill_start_row(),), created=(created_row(),))
    with pytest.raises(StoreFailedError):
        await store.commit(term, again)
    assert await ids(store, ALL) == []


# Terms.


async def test_terms_grow_and_each_ends_those_before(store: Store) -> None:
    first, second = await begin(store), await begin(store)
    assert second > first >= 1
    with pytest.raises(TermEndedError, match=f"term {first} is over"):
        await store.commit(first, Changes(created=(created_row(),)))
    with pytest.raises(TermEndedError):
        await store.renew_term(first, NOON)
    assert await ids(store, ALL) == []
    await store.renew_term(second, NOON)
    await store.commit(second, Changes(created=(created_row(),)))
    assert await ids(store, ALL) == ["e0001"]


async def test_a_term_that_never_was_cannot_write(store: Store, term: int) -> None:
    with pytest.raises(TermEndedError):
        await store.commit(term + 1, Changes(created=(created_row(),)))
    with pytest.raises(TermEndedError):
        await store.commit(0, Changes(created=(created_row(),)))


async def test_an_ended_term_can_still_read(store: Store, term: int) -> None:
    await store.commit(term, Changes(created=(created_row(),)))
    await begin(store)
    assert await ids(store, ALL) == ["e0001"]


# Commits.


async def test_a_commit_is_all_or_nothing(store: Store, term: int) -> None:
    await store.commit(term, Changes(decisions=(decision_row(),)))
    clash = Changes(
        jobs=(job_row(),),
        revisions=(RevisionRow(1, 1, "{}", NOON),),
        schedules=(schedule_row(),),
        created=(created_row(),),
        decisions=(decision_row(due_at=NOON + 1), decision_row()),
        statistics=(statistics_row(),),
        queues=(queue_row(),),
        workers=(worker_row(),),
    )
    before = await store.load_active()
    with pytest.raises(StoreFailedError):
        await store.commit(term, clash)
    assert await store.load_active() == before
    assert await store.workers() == []
    assert len(await store.decisions(DecisionFilter(NAMESPACE), 10)) == 1


async def test_after_a_refused_commit_the_next_one_stands(
    store: Store, term: int
) -> None:
    await store.commit(term, Changes(created=(created_row(),)))
    with pytest.raises(StoreFailedError):
        await store.commit(term, Changes(created=(created_row(2, id="e0001"),)))
    await store.commit(term, Changes(created=(created_row(3),)))
    assert await ids(store, ALL) == ["e0003", "e0001"]


@pytest.mark.parametrize(
    "twice",
    [
        Changes(decisions=(decision_row(),)),
        Changes(created=(created_row(1), created_row(2, id="e0001"))),
        Changes(
            created=(
                created_row(1, request_id="r"),
                created_row(2, request_id="r"),
            )
        ),
        Changes(jobs=(job_row(1, name="same"), job_row(2, name="same"))),
    ],
    ids=["due time", "execution", "request", "job"],
)
async def test_what_is_unique_cannot_be_written_twice(
    store: Store, term: int, twice: Changes
) -> None:
    if twice.decisions:
        await store.commit(term, twice)
    with pytest.raises(StoreFailedError):
        await store.commit(term, twice)
    assert await ids(store, ALL) == []
    assert (await store.load_active()).jobs == ()


async def test_one_request_id_in_two_namespaces_is_two_requests(
    store: Store, term: int
) -> None:
    rows = (
        created_row(1, request_id="r"),
        created_row(2, request_id="r", namespace="ops"),
        created_row(3, request_id=None),
        created_row(4, request_id=None),
    )
    await store.commit(term, Changes(created=rows))
    for namespace, expected in (
        (NAMESPACE, {"r": "e0001"}),
        ("ops", {"r": "e0002"}),
        ("other", {}),
    ):
        found = await store.executions_of_requests(
            namespace=namespace, request_ids=["r", "none", ""]
        )
        assert found == expected


async def test_many_request_ids_are_looked_up_at_once(store: Store, term: int) -> None:
    rows = tuple(created_row(n, request_id=f"r'{n}") for n in range(1, 1_001))
    await store.commit(term, Changes(created=rows))
    wanted = [f"r'{number}" for number in range(500, 1_500)]
    found = await store.executions_of_requests(namespace=NAMESPACE, request_ids=wanted)
    assert found == {f"r'{n}": f"e{n:04}" for n in range(500, 1_001)}
    assert await store.executions_of_requests(namespace=NAMESPACE, request_ids=[]) == {}


async def test_a_name_that_becomes_free_can_be_taken_in_the_same_commit(
    store: Store, term: int
) -> None:
    await store.commit(
        term,
        Changes(
            jobs=(job_row(1, name="same"),),
            schedules=(schedule_row("s1", job_id=1),),
            statistics=(statistics_row(1),),
        ),
    )
    await store.commit(
        term,
        Changes(
            jobs=(job_row(2, name="same"),),
            deleted_jobs=(1,),
            deleted_schedules=("s1",),
            schedules=(schedule_row("s2", job_id=2),),
        ),
    )
    state = await store.load_active()
    assert state.jobs == (job_row(2, name="same"),)
    assert state.schedules == (schedule_row("s2", job_id=2),)
    assert state.statistics == ()


async def test_reads_see_committed_facts_only_and_at_once(
    store: Store, term: int
) -> None:
    commits = [
        asyncio.create_task(
            store.commit(
                term,
                Changes(
                    created=tuple(
                        created_row(number * 200 + part) for part in range(200)
                    )
                ),
            )
        )
        for number in range(1, 6)
    ]
    seen = 0
    while not all(one.done() for one in commits):
        count = len(await store.executions(ALL, 10_000))
        assert count % 200 == 0
        assert count >= seen
        seen = count
        await asyncio.sleep(0)
    await asyncio.gather(*commits)
    assert len(await store.executions(ALL, 10_000)) == 1_000


async def test_an_empty_commit_still_checks_the_term(store: Store) -> None:
    old = await begin(store)
    await begin(store)
    with pytest.raises(TermEndedError):
        await store.commit(old, Changes())


async def test_nothing_is_lost_among_many_rows_of_one_commit(
    store: Store, term: int
) -> None:
    # Around the sizes of groups in which rows are bound.
    sizes = {one + more for one in ManyRows.SIZES for more in (-1, 0, 1)} - {0}
    for count in sorted(sizes):
        start = count * 1_000
        numbers = range(start, start + count)
        await store.commit(
            term, Changes(created=tuple(created_row(n, job="many") for n in numbers))
        )
        await store.commit(
            term,
            Changes(
                moved=tuple(moved_row(n) for n in numbers),
                ended=tuple(ended_row(n, exit_code=n) for n in numbers),
            ),
        )
        found = await store.executions(ALL, count)
        assert [row.exit_code for row in found] == list(reversed(numbers))


# Executions.


async def test_an_execution_is_read_back_as_it_was_written(
    store: Store, term: int
) -> None:
    created = created_row(
        request_id="r",
        schedule_id="s1",
        params_json='{"who": "Zoë \\u0000"}',
        document_json='{"name":"x"}',
        requested_by="äöü",
    )
    moved = moved_row(cancel_reason="enough")
    ended = ended_row(
        state="failed", exit_code=None, signal="KILL", error="a\nb", cpu_user=None
    )
    await store.commit(term, Changes(created=(created,)))
    (row,) = await store.executions(ALL, 1)
    assert row == ExecutionRow(*created)
    await store.commit(term, Changes(moved=(moved,)))
    await store.commit(term, Changes(ended=(ended,)))
    (row,) = await store.executions(ALL, 1)
    expected = ExecutionRow(*created)._replace(**moved._asdict())
    assert row == expected._replace(**ended._asdict())


async def test_an_execution_can_be_made_leased_and_ended_in_one_commit(
    store: Store, term: int
) -> None:
    await store.commit(
        term,
        Changes(created=(created_row(),), moved=(moved_row(),), ended=(ended_row(),)),
    )
    (row,) = await store.executions(ALL, 1)
    assert (row.state, row.worker, row.exit_code) == ("succeeded", "w1", 0)


async def test_what_is_held_is_loaded_until_it_is_let_go_or_ends(
    store: Store, term: int
) -> None:
    rows = tuple(hold_row(n, subject=f"s{n}") for n in (1, 2, 3))
    created = tuple(created_row(n) for n in (1, 2, 3))
    await store.commit(term, Changes(created=created, holds=rows))
    assert sorted((await store.load_active()).holds) == sorted(rows)
    other = hold_row(2, reason="other", since=NOON + SECOND)
    await store.commit(term, Changes(holds=(other,), deleted_holds=(1, 77)))
    assert sorted((await store.load_active()).holds) == [other, rows[2]]
    await store.commit(term, Changes(ended=(ended_row(3),)))
    assert sorted((await store.load_active()).holds) == [other]


async def test_a_lost_execution_can_end_again(store: Store, term: int) -> None:
    await store.commit(
        term, Changes(created=(created_row(),), ended=(ended_row(state="lost"),))
    )
    await store.commit(term, Changes(ended=(ended_row(state="succeeded"),)))
    assert (await store.executions(ALL, 1))[0].state == "succeeded"


async def some_executions(store: Store, term: int) -> None:
    await store.commit(
        term,
        Changes(
            created=(
                created_row(1, job="a"),
                created_row(2, job="a", workspace="shop"),
                created_row(3, job="b", state="scheduled"),
                created_row(4, job="a", namespace="ops"),
                created_row(5, job="b", workspace="shop"),
            ),
            ended=(ended_row(2), ended_row(5, state="failed")),
        ),
    )


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (ExecutionFilter(NAMESPACE), [5, 3, 2, 1]),
        (ExecutionFilter("ops"), [4]),
        (ExecutionFilter("nobody"), []),
        (ExecutionFilter(NAMESPACE, workspace="shop"), [5, 2]),
        (ExecutionFilter(NAMESPACE, job="a"), [2, 1]),
        (ExecutionFilter(NAMESPACE, workspace="shop", job="a"), [2]),
        (ExecutionFilter(NAMESPACE, states=("failed",)), [5]),
        (ExecutionFilter(NAMESPACE, states=("pending", "scheduled")), [3, 1]),
        (ExecutionFilter(NAMESPACE, job="b", states=("failed",)), [5]),
        (ExecutionFilter(NAMESPACE, before=5), [3, 2, 1]),
        (ExecutionFilter(NAMESPACE, job="a", before=2), [1]),
        (ExecutionFilter(NAMESPACE, before=0), []),
    ],
)
async def test_executions_are_listed_newest_first_by_any_filter(
    store: Store, term: int, wanted: ExecutionFilter, expected: list[int]
) -> None:
    await some_executions(store, term)
    assert [row.seq for row in await store.executions(wanted, 100)] == expected


async def test_pages_of_executions_meet_without_gap_or_overlap(
    store: Store, term: int
) -> None:
    rows = tuple(created_row(number) for number in range(1, 24))
    await store.commit(term, Changes(created=rows))
    seen: list[int] = []
    before = None
    while page := await store.executions(ExecutionFilter(NAMESPACE, before=before), 5):
        seen += [row.seq for row in page]
        before = page[-1].seq
        # What is new meanwhile does not disturb the listing.
        await store.commit(term, Changes(created=(created_row(1_000 + len(seen)),)))
    assert seen == list(range(23, 0, -1))


async def test_an_execution_is_found_by_its_id_in_any_namespace(
    store: Store, term: int
) -> None:
    rows = (created_row(1, id="ab12"), created_row(2, id="ab1", namespace="ops"))
    await store.commit(term, Changes(created=rows))
    for row in rows:
        found = await store.execution(row.id)
        assert found is not None
        assert (found.seq, found.namespace) == (row.seq, row.namespace)
    assert await store.execution("ab") is None
    assert await store.execution("%") is None


async def test_executions_are_found_by_the_beginning_of_their_id(
    store: Store, term: int
) -> None:
    names = ("ab12", "ab13", "ab2", "ac", "b")
    rows = tuple(created_row(n, id=name) for n, name in enumerate(names, 1))
    other = created_row(9, id="ab1-other", namespace="ops")
    await store.commit(term, Changes(created=(*rows, other)))

    async def found(prefix: str, limit: int = 10) -> list[str]:
        rows = await store.find_executions(
            namespace=NAMESPACE, prefix=prefix, limit=limit
        )
        return [row.id for row in rows]

    assert await found("ab1") == ["ab12", "ab13"]
    assert await found("ab12") == ["ab12"]
    assert await found("ab") == ["ab12", "ab13", "ab2"]
    assert await found("ab", limit=2) == ["ab12", "ab13"]
    assert await found("ab121") == []
    assert await found("") == list(names)
    for strange in ("%", "_", "ab%", "a'b", "~", "é"):
        assert await found(strange) == []


# Definitions.


async def test_a_definition_is_read_back_with_its_counters(
    store: Store, term: int
) -> None:
    row = job_row(enabled_override=0, enabled=0, source="folder:/jobs/a.yaml")
    await store.commit(
        term,
        Changes(
            jobs=(row,),
            statistics=(statistics_row(),),
            created=(created_row(1), created_row(2), created_row(3)),
            ended=(ended_row(1),),
        ),
    )
    record = await store.job(key("job-1"))
    assert record is not None
    assert (record.job, record.statistics) == (row, statistics_row())
    assert record.active == 2


async def test_a_definition_that_never_ran_has_empty_counters(
    store: Store, term: int
) -> None:
    await store.commit(term, Changes(jobs=(job_row(),)))
    record = await store.job(key("job-1"))
    assert record is not None
    assert record.active == 0
    assert record.statistics == statistics_row(
        run_count=0,
        success_count=0,
        failure_count=0,
        last_run_at=None,
        last_success_at=None,
        last_failure_at=None,
        last_state="",
    )


async def test_a_definition_is_updated_in_its_place(store: Store, term: int) -> None:
    await store.commit(term, Changes(jobs=(job_row(),)))
    changed = job_row(
        revision=2, document_json="{}", enabled=0, enabled_override=0, source="api2"
    )._replace(updated_at=NOON + 1)
    await store.commit(term, Changes(jobs=(changed,)))
    assert (await store.load_active()).jobs == (changed,)


@pytest.mark.parametrize(
    "missing", [key("nobody"), key("job-1", "shop"), ("ops", key()[1], "job-1")]
)
async def test_a_definition_that_is_not_there_is_none(
    store: Store, term: int, missing: tuple[str, str, str]
) -> None:
    await store.commit(term, Changes(jobs=(job_row(),)))
    assert await store.job(missing) is None


async def test_definitions_are_listed_by_workspace_and_name(
    store: Store, term: int
) -> None:
    rows = (
        job_row(1, name="b"),
        job_row(2, name="a", workspace="shop"),
        job_row(3, name="a"),
        job_row(4, name="c", workspace="shop"),
        job_row(5, name="A"),
        job_row(6, name="x", namespace="ops"),
    )
    await store.commit(term, Changes(jobs=rows))

    async def listed(
        workspace: str = "", after: tuple[str, str] = ("", ""), limit: int = 10
    ) -> list[int]:
        found = await store.jobs(
            namespace=NAMESPACE, workspace=workspace, after=after, limit=limit
        )
        return [record.job.job_id for record in found]

    alone = key()[1]
    assert await listed() == [5, 3, 1, 2, 4]
    assert await listed(limit=2) == [5, 3]
    assert await listed(after=(alone, "a")) == [1, 2, 4]
    assert await listed(after=(alone, "b"), limit=1) == [2]
    assert await listed("shop") == [2, 4]
    assert await listed("shop", after=("shop", "a")) == [4]
    assert await listed("nobody") == []


async def test_a_deleted_definition_leaves_its_history(store: Store, term: int) -> None:
    await store.commit(
        term,
        Changes(
            jobs=(job_row(),),
            schedules=(schedule_row(),),
            statistics=(statistics_row(),),
            decisions=(decision_row(),),
            created=(created_row(),),
            ended=(ended_row(),),
        ),
    )
    await store.commit(term, Changes(deleted_jobs=(1,), deleted_schedules=("s1",)))
    assert await store.job(key("job-1")) is None
    state = await store.load_active()
    assert (state.jobs, state.schedules, state.statistics) == ((), (), ())
    assert await ids(store, ALL) == ["e0001"]
    assert len(await store.decisions(DecisionFilter(NAMESPACE), 10)) == 1


async def test_deleting_what_is_not_there_changes_nothing(
    store: Store, term: int
) -> None:
    await store.commit(term, Changes(deleted_jobs=(7,), deleted_schedules=("s7",)))
    assert (await store.load_active()).jobs == ()


# Schedules and decisions.


async def test_a_cursor_moves_with_the_decision_it_passes(
    store: Store, term: int
) -> None:
    await store.commit(term, Changes(schedules=(schedule_row(), schedule_row("s2"))))
    await store.commit(
        term,
        Changes(
            cursors=(CursorRow(NOON + HOUR, "s1"),),
            decisions=(decision_row(due_at=NOON + HOUR),),
        ),
    )
    state = await store.load_active()
    assert {row.schedule_id: row.cursor for row in state.schedules} == {
        "s1": NOON + HOUR,
        "s2": NOON,
    }


async def test_a_cursor_is_never_loaded_behind_what_was_decided(
    store: Store, term: int
) -> None:
    decided = decision_row("s1", NOON + HOUR)
    await store.commit(term, Changes(decisions=(decided, decision_row("s2", NOON))))
    # Made anew, by a clock that was set back.
    rows = (schedule_row("s1"), schedule_row("s2", cursor=NOON + 1))
    await store.commit(term, Changes(schedules=rows))
    assert {
        row.schedule_id: row.cursor for row in (await store.load_active()).schedules
    } == {"s1": NOON + HOUR, "s2": NOON + 1}


async def some_decisions(store: Store, term: int) -> None:
    await store.commit(
        term,
        Changes(
            decisions=(
                decision_row("s1", NOON),
                decision_row("s1", NOON + HOUR, outcome="skipped", reason="overlap"),
                decision_row("s2", NOON + HOUR, job="b"),
                decision_row("s3", NOON + 2 * HOUR, workspace="shop"),
                decision_row("s4", NOON, namespace="ops"),
            )
        ),
    )


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (DecisionFilter(NAMESPACE), ["s3 2", "s2 1", "s1 1", "s1 0"]),
        (DecisionFilter("ops"), ["s4 0"]),
        (DecisionFilter(NAMESPACE, job="b"), ["s2 1"]),
        (DecisionFilter(NAMESPACE, workspace="shop"), ["s3 2"]),
        (DecisionFilter(NAMESPACE, start=NOON + HOUR), ["s3 2", "s2 1", "s1 1"]),
        (DecisionFilter(NAMESPACE, end=NOON + HOUR), ["s1 0"]),
        (DecisionFilter(NAMESPACE, start=NOON, end=NOON + 1), ["s1 0"]),
        (DecisionFilter(NAMESPACE, before=(NOON + HOUR, "s2")), ["s1 1", "s1 0"]),
        (DecisionFilter(NAMESPACE, before=(NOON, "s1")), []),
    ],
)
async def test_decisions_are_listed_latest_first_by_any_filter(
    store: Store, term: int, wanted: DecisionFilter, expected: list[str]
) -> None:
    await some_decisions(store, term)
    found = [
        f"{row.schedule_id} {(row.due_at - NOON) // HOUR}"
        for row in await store.decisions(wanted, 10)
    ]
    assert found == expected
    limited = await store.decisions(wanted, 1)
    assert len(limited) == min(1, len(expected))


async def test_a_decision_is_read_back_as_it_was_written(
    store: Store, term: int
) -> None:
    rows = (
        decision_row("s1", NOON),
        decision_row(
            "s1",
            NOON + 1,
            outcome="skipped",
            reason="missed_window",
            execution_id="",
            holder="e7",
            until=NOON + HOUR,
            due_times=None,
        ),
    )
    await store.commit(term, Changes(decisions=rows))
    assert await store.decisions(DecisionFilter(NAMESPACE), 10) == list(rows[::-1])


# The story of an execution.


async def test_superseded_attempts_are_read_back_in_order(
    store: Store, term: int
) -> None:
    first = attempt_row(1, 100)
    bare = attempt_row(
        1,
        200,
        attempt=2,
        leased_at=None,
        started_at=None,
        exit_code=None,
        output_bytes=None,
        cpu_user=None,
        cpu_system=None,
        peak_memory=None,
        outcome="released",
    )
    await store.commit(term, Changes(attempts=(bare, attempt_row(2, 150))))
    await store.commit(term, Changes(attempts=(first,)))
    assert await store.attempts(1) == [first, bare]
    assert await store.attempts(3) == []


async def test_an_attempt_is_kept_once(store: Store, term: int) -> None:
    await store.commit(term, Changes(attempts=(attempt_row(),)))
    with pytest.raises(StoreFailedError):
        await store.commit(term, Changes(attempts=(attempt_row(outcome="lost"),)))
    assert await store.attempts(1) == [attempt_row()]


async def test_events_of_an_execution_are_read_back_in_the_order_of_their_numbers(
    store: Store, term: int
) -> None:
    late, early, other = event_row(1, 9), event_row(1, 8, kind="leased"), event_row(2)
    await store.commit(term, Changes(events=(late, other)))
    await store.commit(term, Changes(events=(early,)))
    assert await store.events(1) == [early, late]
    assert await store.events(3) == []


async def test_links_are_read_from_both_ends(store: Store, term: int) -> None:
    one, two = LinkRow(5, "e5", "retry", 1, "e1"), LinkRow(7, "e7", "fallback", 5, "e5")
    await store.commit(term, Changes(links=(one, two)))
    assert await store.links(1) == [one]
    assert await store.links(5) == [one, two]
    assert await store.links(7) == [two]
    assert await store.links(2) == []


def letter(seq: int, **fields: object) -> DeadLetterRow:
    row = DeadLetterRow(
        seq, f"e{seq}", NAMESPACE, "w", "job-1", NOON + seq, "failed", "r", "error", 3
    )
    return row._replace(**fields)  # type: ignore[arg-type]


async def test_dead_letters_are_listed_newest_first_by_any_filter(
    store: Store, term: int
) -> None:
    rows = (letter(1), letter(2, job="other"), letter(3, workspace="v"), letter(4))
    elsewhere = letter(5, namespace="ops")
    await store.commit(term, Changes(dead_letters=(*rows, elsewhere)))

    async def found(limit: int = 10, **fields: object) -> list[int]:
        wanted = DeadLetterFilter(NAMESPACE, **fields)  # type: ignore[arg-type]
        return [row.seq for row in await store.dead_letters(wanted, limit)]

    assert await found() == [4, 3, 2, 1]
    assert await found(limit=2) == [4, 3]
    assert await found(before=3) == [2, 1]
    assert await found(job="other") == [2]
    assert await found(workspace="v") == [3]
    assert await found(failed_before=NOON + 3) == [2, 1]
    assert await store.dead_letter(2) == rows[1]
    await store.commit(term, Changes(deleted_dead_letters=(2, 99)))
    assert await found() == [4, 3, 1]
    assert await store.dead_letter(2) is None


# What a term starts from.


async def test_a_decision_grows_in_the_commit_that_makes_it_and_later(
    store: Store, term: int
) -> None:
    made = decision_row(outcome="skipped", reason="paused", execution_id="")
    extended = extended_row()
    await store.commit(term, Changes(decisions=(made,), extended=(extended,)))
    (row,) = await store.decisions(DecisionFilter(NAMESPACE), 9)
    assert row == made._replace(**extended._asdict())
    later = extended_row(until=NOON + 2 * HOUR, due_times=8)
    await store.commit(term, Changes(extended=(later, extended_row("gone"))))
    (row,) = await store.decisions(DecisionFilter(NAMESPACE), 9)
    assert (row.until, row.due_times) == (NOON + 2 * HOUR, 8)


async def test_the_decision_that_speaks_of_an_instant_is_found(
    store: Store, term: int
) -> None:
    alone = decision_row("s1", NOON)
    many = decision_row("s1", NOON + HOUR, until=NOON + 2 * HOUR)
    other = decision_row("s2", NOON + SECOND)
    await store.commit(term, Changes(decisions=(alone, many, other)))
    found = {
        at: await store.decision_at("s1", NOON + at)
        for at in (-1, 0, 1, HOUR - 1, HOUR, HOUR + 7, 2 * HOUR, 2 * HOUR + 1)
    }
    assert found == {
        -1: None,
        0: alone,
        1: None,
        HOUR - 1: None,
        HOUR: many,
        HOUR + 7: many,
        2 * HOUR: many,
        2 * HOUR + 1: None,
    }


async def test_decisions_are_listed_by_their_reasons(store: Store, term: int) -> None:
    rows = tuple(
        decision_row("s1", NOON + n, outcome="skipped", reason=reason)
        if reason
        else decision_row("s1", NOON + n)
        for n, reason in enumerate(["overlap", "", "paused", "overlap"])
    )
    await store.commit(term, Changes(decisions=rows))

    async def of(*reasons: str) -> list[int]:
        wanted = DecisionFilter(NAMESPACE, reasons=reasons)
        return [row.due_at - NOON for row in await store.decisions(wanted, 9)]

    assert await of() == [3, 2, 1, 0]
    assert await of("overlap") == [3, 0]
    assert await of("started") == [1]
    assert await of("paused", "overlap") == [3, 2, 0]
    assert await of("limit") == []


async def test_old_decisions_are_found_and_forgotten(store: Store, term: int) -> None:
    old = [decision_row("s1", NOON + n, job=f"job-{n % 3}") for n in range(9)]
    ends_later = decision_row("s2", NOON, until=NOON + HOUR)
    new = decision_row("s1", NOON + HOUR)
    await store.commit(term, Changes(decisions=(*old, ends_later, new)))
    found = await store.old_decisions(NOON + HOUR, 100)
    assert sorted(found) == [("s1", NOON + n) for n in range(9)]
    assert len(await store.old_decisions(NOON + HOUR, 4)) == 4
    assert await store.old_decisions(NOON, 100) == []
    await store.commit(term, Changes(deleted_decisions=tuple(found)))
    left = await store.decisions(DecisionFilter(NAMESPACE), 100)
    assert set(left) == {new, ends_later}


async def test_pauses_in_force_are_loaded_and_ended_ones_are_kept(
    store: Store, term: int
) -> None:
    rows = (
        pause_row("p1", since=NOON, until=NOON + HOUR, note="upgrade"),
        pause_row("p2", since=NOON + 1, kind="all", namespace="", job=""),
        pause_row("p3", since=NOON + 2, namespace="ops"),
    )
    await store.commit(term, Changes(pauses=rows))
    assert (await store.load_active()).pauses == rows
    ended = rows[0]._replace(ended_at=NOON + SECOND, ended_by="bob")
    await store.commit(term, Changes(pauses=(ended,)))
    assert (await store.load_active()).pauses == rows[1:]
    assert await store.pause("p1") == ended
    assert await store.pause("p9") is None
    assert await store.pauses(PauseFilter(NAMESPACE), 9) == [rows[1]]
    everything = PauseFilter(NAMESPACE, with_ended=True)
    assert await store.pauses(everything, 9) == [rows[1], ended]
    after = PauseFilter(NAMESPACE, with_ended=True, before=(NOON + 1, "p2"))
    assert await store.pauses(after, 9) == [ended]
    assert await store.pauses(everything, 1) == [rows[1]]
    await store.commit(term, Changes(forget_pauses_before=NOON + SECOND))
    assert await store.pause("p1") == ended
    await store.commit(term, Changes(forget_pauses_before=NOON + HOUR))
    assert await store.pauses(everything, 9) == [rows[1]]


async def test_failures_in_a_row_are_loaded_until_their_job_is_deleted(
    store: Store, term: int
) -> None:
    rows = (FailureStreakRow(1, 2), FailureStreakRow(2, 1))
    await store.commit(term, Changes(jobs=(job_row(1),), failure_streaks=rows))
    again = FailureStreakRow(1, 3)
    await store.commit(term, Changes(failure_streaks=(again,)))
    loaded = (await store.load_active()).failure_streaks
    assert sorted(loaded) == [again, rows[1]]
    await store.commit(term, Changes(deleted_jobs=(1,)))
    assert (await store.load_active()).failure_streaks == (rows[1],)


async def test_half_joins_are_loaded_until_they_are_over_or_their_job_is_deleted(
    store: Store, term: int
) -> None:
    rows = (JoinRow(1, '{"a": "e1"}'), JoinRow(2, '{"b": "e2"}'), JoinRow(3, "{}"))
    jobs = tuple(map(job_row, (1, 2, 3)))
    await store.commit(term, Changes(jobs=jobs, joins=rows))
    more = JoinRow(1, '{"a": "e1", "b": "e3"}')
    await store.commit(term, Changes(joins=(more,)))
    assert sorted((await store.load_active()).joins) == [more, rows[1]]
    await store.commit(term, Changes(joins=(JoinRow(2, "{}"),)))
    assert (await store.load_active()).joins == (more,)
    await store.commit(term, Changes(deleted_jobs=(1,)))
    assert (await store.load_active()).joins == ()


async def test_history_is_not_loaded(store: Store, term: int) -> None:
    await store.commit(
        term,
        Changes(
            created=tuple(created_row(number) for number in range(1, 8)),
            moved=(moved_row(2),),
            ended=tuple(
                ended_row(number, state=state)
                for number, state in (
                    (3, "succeeded"),
                    (4, "failed"),
                    (5, "timed_out"),
                    (6, "cancelled"),
                )
            ),
        ),
    )
    state = await store.load_active()
    assert [row.seq for row in state.executions] == [1, 2, 7]


async def test_an_execution_is_loaded_if_it_was_lost_since_the_instant_asked_for(
    store: Store, term: int
) -> None:
    await store.commit(
        term,
        Changes(
            revisions=tuple(RevisionRow(1, n, str(n), NOON) for n in (1, 2, 3)),
            created=tuple(created_row(n, revision=n) for n in (1, 2, 3)),
            moved=(moved_row(1), moved_row(2), moved_row(3)),
            ended=(
                ended_row(1, state="lost", finished_at=NOON),
                ended_row(2, finished_at=NOON + HOUR),
                ended_row(3, state="lost", finished_at=NOON - 1),
            ),
        ),
    )
    state = await store.load_active(lost_since=NOON)
    (row,) = state.executions
    assert (row.seq, row.state, row.fence) == (1, "lost", 100)
    assert state.documents == {(1, 1): "1"}
    everything = await store.load_active()
    assert sorted(row.seq for row in everything.executions) == [1, 3]


async def test_the_retries_of_what_is_not_final_are_loaded_as_last_written(
    store: Store, term: int
) -> None:
    first, last = RetryRow(1, 1, 0, 0, NOON), RetryRow(1, 2, 3, 4, NOON + SECOND)
    await store.commit(
        term,
        Changes(
            created=(created_row(1), created_row(2), created_row(3)),
            retries=(first, RetryRow(3, 1, 0, 0, NOON)),
        ),
    )
    assert sorted((await store.load_active()).retries) == [
        first,
        RetryRow(3, 1, 0, 0, NOON),
    ]
    await store.commit(term, Changes(retries=(last,), ended=(ended_row(3),)))
    assert (await store.load_active()).retries == (last,)


async def test_the_earlier_fences_of_what_is_not_final_are_loaded_in_order(
    store: Store, term: int
) -> None:
    created = tuple(created_row(seq) for seq in (1, 2, 3))
    attempts = ((2, 104), (1, 103), (3, 102), (1, 101))
    await store.commit(
        term,
        Changes(
            created=created,
            attempts=tuple(attempt_row(seq, fence) for seq, fence in attempts),
        ),
    )
    await store.commit(term, Changes(ended=(ended_row(3),)))
    assert (await store.load_active()).superseded == ((1, 101), (1, 103), (2, 104))


async def test_the_documents_of_all_active_executions_are_loaded(
    store: Store, term: int
) -> None:
    await store.commit(
        term,
        Changes(
            jobs=(job_row(revision=4, document_json="four"),),
            revisions=tuple(
                RevisionRow(1, number, text, NOON)
                for number, text in enumerate(("one", "two", "three", "four"), 1)
            ),
            created=tuple(created_row(n, revision=n) for n in (1, 2, 3)),
            ended=(
                ended_row(1),
                ended_row(3, state="lost", finished_at=NOON),
            ),
        ),
    )
    documents = (await store.load_active()).documents
    assert {(1, 2): "two", (1, 3): "three"}.items() <= documents.items()
    assert (1, 1) not in documents


async def test_the_document_of_a_revision_outlives_its_job(
    store: Store, term: int
) -> None:
    await store.commit(
        term,
        Changes(
            jobs=(job_row(),),
            revisions=(RevisionRow(1, 1, "one", NOON),),
            created=(created_row(),),
        ),
    )
    await store.commit(term, Changes(deleted_jobs=(1,)))
    assert (await store.load_active()).documents == {(1, 1): "one"}
    assert await store.document(1, 1) == "one"
    assert await store.document(1, 2) is None


async def test_a_revision_never_changes(store: Store, term: int) -> None:
    for text in ("first", "second"):
        await store.commit(
            term,
            Changes(
                revisions=(RevisionRow(1, 1, text, NOON),),
                created=() if text == "second" else (created_row(),),
            ),
        )
    assert (await store.load_active()).documents == {(1, 1): "first"}


# Queues and workers.


async def test_queues_tell_their_totals_and_how_full_they_are(
    store: Store, term: int
) -> None:
    await store.commit(
        term,
        Changes(
            queues=(queue_row("low", weight=1), queue_row("default", completed=9)),
            created=(
                created_row(1),
                created_row(2),
                created_row(3, state="scheduled"),
                created_row(4, phase="leased"),
                created_row(5, state="running", phase="started"),
                created_row(6, state="cancelling", phase="started"),
                created_row(7),
                created_row(8, queue="low", state="scheduled"),
            ),
            ended=(ended_row(7),),
        ),
    )
    totals, depths = await store.queues()
    assert list(totals) == [
        queue_row("default", completed=9),
        queue_row("low", weight=1),
    ]
    assert sorted(depths, key=lambda one: one.queue) == [
        QueueDepth("default", scheduled=1, pending=2, active=3),
        QueueDepth("low", scheduled=1, pending=0, active=0),
    ]
    assert sorted((await store.load_active()).queues) == sorted(totals)


async def test_workers_are_listed_by_name_as_they_last_introduced_themselves(
    store: Store, term: int
) -> None:
    await store.commit(term, Changes(workers=(worker_row("b"), worker_row("a"))))
    changed = worker_row(
        "b", slots=9, labels_json='{"a":"b"}', last_seen_at=NOON + SECOND
    )
    await store.commit(term, Changes(workers=(changed,)))
    assert await store.workers() == [worker_row("a"), changed]


# The life of a store.


async def test_closing_twice_is_harmless(store: Store) -> None:
    await store.close()
    await store.close()


async def test_a_store_describes_itself(store: Store) -> None:
    assert store.describe().split()[0] in {"memory", "sqlite"}


async def test_counts_of_schedules_live_as_long_as_the_schedule(
    store: Store, term: int
) -> None:
    rows = (schedule_row("s1"), schedule_row("s2"))
    counts = (CountRow("s1", 1), CountRow("s2", 5))
    await store.commit(term, Changes(schedules=rows, counts=counts))
    await store.commit(term, Changes(counts=(CountRow("s1", 2),)))
    assert sorted((await store.load_active()).counts) == [("s1", 2), ("s2", 5)]
    await store.commit(term, Changes(deleted_schedules=("s2",)))
    assert (await store.load_active()).counts == (CountRow("s1", 2),)


async def test_facts_about_the_store_are_replaced(store: Store, term: int) -> None:
    assert (await store.load_active()).meta == ()
    await store.commit(term, Changes(meta=(MetaRow("tzdata", "2025b"),)))
    await store.commit(term, Changes(meta=(MetaRow("tzdata", "2026a"),)))
    assert (await store.load_active()).meta == (MetaRow("tzdata", "2026a"),)


async def test_breakers_are_kept_by_whose_they_are(store: Store) -> None:
    term = await begin(store)
    of_job = breaker_row(job="_standalone_/backup")
    of_worker = breaker_row(namespace="", worker="w1")
    here = breaker_row(dependency="db", worker="w1")
    await store.commit(term, Changes(breakers=(of_job, of_worker, here)))
    changed = of_job._replace(state="half_open", until=None, probe="e0001")
    await store.commit(term, Changes(breakers=(changed,)))
    state = await store.load_active()
    assert set(state.breakers) == {changed, of_worker, here}


async def test_what_was_said_about_a_worker_is_kept(store: Store, term: int) -> None:
    first = OrderRow("w1", 1, "kernel", NOON, None, '{"role": null}')
    other = OrderRow("w2", 0, "", NOON, None, "{}")
    await store.commit(term, Changes(orders=(other, first)))
    later = first._replace(drain_until=NOON + SECOND)
    await store.commit(term, Changes(orders=(later,)))
    assert list(await store.orders()) == [later, other]
    assert set((await store.load_active()).orders) == {later, other}
