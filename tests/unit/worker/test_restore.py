from __future__ import annotations

from pathlib import Path

import pytest

from jobs_grpc.worker.attempts.attempt import Ticket
from jobs_grpc.worker.attempts.table import State
from jobs_grpc.worker.journal.entries import Memory, Recollection
from jobs_grpc.worker.keeper.protocol import AttemptStatus
from jobs_grpc.worker.keeper.record import ExitRecord
from jobs_grpc.worker.keeper.record import Outcome as Ending
from jobs_grpc.worker.keeper.spool import (
    SpoolWriter,
    Stream,
)
from jobs_grpc.worker.restore import Restored, remove_strays, restore
from jobs_grpc.worker.work import Outcome, Result
from unit.worker.stand_ins import a_result


def a_ticket(fence: int, *, is_function: bool = False) -> Ticket:
    return Ticket(fence, f"execution-{fence}", 1, "n", "w", "job", is_function)


def restored(
    *statuses: AttemptStatus, memories: list[Memory], directory: Path = Path("/none")
) -> Restored:
    return restore(
        statuses,
        Recollection({memory.ticket.fence: memory for memory in memories}),
        boot_id="this-boot",
        now=99,
        function_spool=lambda fence: directory / str(fence) / "spool",
    )


def test_what_runs_under_the_keeper_runs_on() -> None:
    status = AttemptStatus(
        fence=1, state="running", pid=17, started_at_us=5, output_bytes=6
    )
    found = restored(status, memories=[Memory(a_ticket(1), 4)])
    ((attempt, its_status),) = found.running
    assert its_status is status
    assert attempt.ticket == a_ticket(1)
    assert (attempt.state, attempt.started_at, attempt.pid) == (State.RUNNING, 5, 17)


def test_the_keepers_record_is_the_result() -> None:
    record = ExitRecord(fence=1, outcome=Ending.EXITED, exit_code=0, finished_at_us=9)
    status = AttemptStatus(fence=1, state="ended", record=record)
    found = restored(status, memories=[Memory(a_ticket(1), 4)])
    (attempt,) = found.ended
    assert attempt.result is not None
    assert attempt.result.outcome is Outcome.SUCCEEDED
    assert attempt.is_sendable
    memory = Memory(a_ticket(1), 4, acknowledged_at=7)
    assert restored(status, memories=[memory]).acknowledged[0][1] == 7


def test_a_process_without_a_note_is_held_by_its_fence() -> None:
    status = AttemptStatus(fence=5, state="running", started_at_us=5)
    ((attempt, _),) = restored(status, memories=[]).running
    assert attempt.ticket == Ticket(5, "", 0, "", "", "", False)


def test_a_function_that_was_cut_short_is_lost_with_its_output(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path / "1", 1000)
    writer.write(Stream.STDOUT, memoryview(b"so far"), 1)
    memory = Memory(a_ticket(1, is_function=True), 4, "this-boot")
    (attempt,) = restored(memories=[memory], directory=tmp_path).cut_short
    assert attempt.result == Result(
        Outcome.LOST,
        4,
        99,
        error="the worker program ended while the function ran",
        output_bytes=6,
    )
    assert not attempt.is_sendable


@pytest.mark.parametrize(
    ("boot_id", "outcome"),
    [("this-boot", Outcome.NOT_STARTED), ("another", Outcome.LOST)],
)
def test_a_process_that_the_keeper_does_not_know_was_never_begun_in_this_boot(
    boot_id: str, outcome: Outcome
) -> None:
    (attempt,) = restored(memories=[Memory(a_ticket(1), 4, boot_id)]).cut_short
    assert attempt.result is not None
    assert attempt.result.outcome is outcome


def test_results_of_the_journal_are_told_or_kept() -> None:
    found = restored(
        memories=[
            Memory(a_ticket(1, is_function=True), 4, result=a_result()),
            Memory(a_ticket(2), 4, result=a_result(), acknowledged_at=8),
        ]
    )
    assert [attempt.fence for attempt in found.ended] == [1]
    assert [(attempt.fence, at) for attempt, at in found.acknowledged] == [(2, 8)]
    assert [attempt.fence for attempt in found] == [1, 2]


def test_directories_that_nobody_holds_are_removed(tmp_path: Path) -> None:
    for name in ("1", "2", "else"):
        (tmp_path / name / "sub").mkdir(parents=True)
    remove_strays(tmp_path, {1}.__contains__)
    assert {path.name for path in tmp_path.iterdir()} == {"1", "else"}
    remove_strays(tmp_path / "none", {1}.__contains__)
