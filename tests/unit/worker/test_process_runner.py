from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest_asyncio

from jobs_grpc.worker.attempts.attempt import Attempt
from jobs_grpc.worker.attempts.table import State
from jobs_grpc.worker.keeper.protocol import (
    AttemptStatus,
    Exited,
    Started,
    StartFailed,
    StartRequest,
)
from jobs_grpc.worker.keeper.record import ExitRecord
from jobs_grpc.worker.keeper.record import Outcome as Ending
from jobs_grpc.worker.keeper_link import (
    KeeperError,
    KeeperLink,
    KeeperLostError,
    KeeperRefusedError,
    OutputGrown,
)
from jobs_grpc.worker.processes.places import Places
from jobs_grpc.worker.processes.runner import ProcessRunner
from jobs_grpc.worker.work import Command, Outcome
from support.until import until
from unit.worker.stand_ins import (
    RecordingListener,
    StillClock,
    UnshippedOutputs,
    a_lease,
)


class ScriptedLink:
    """A connection to a keeper that says what a test makes it say."""

    def __init__(self, *statuses: AttemptStatus) -> None:
        self.statuses = list(statuses)
        self.starts: dict[int, asyncio.Future[Started | StartFailed]] = {}
        self.cancels: list[tuple[int, str, float | None]] = []
        self.forgotten: list[int] = []
        self.is_shut_down: bool | None = None
        self.is_lost = False
        self._news: asyncio.Queue[OutputGrown | Exited | None] = asyncio.Queue()

    async def list(self) -> list[AttemptStatus]:
        return self.statuses

    async def start(self, request: StartRequest) -> Started | StartFailed:
        self._check()
        assert request.fence not in self.starts
        self.starts[request.fence] = asyncio.get_running_loop().create_future()
        return await self.starts[request.fence]

    async def cancel(
        self, fence: int, reason: str, *, grace_seconds: float | None = None
    ) -> None:
        self._check()
        self.cancels.append((fence, reason, grace_seconds))
        if fence not in self.starts and not self.statuses:
            raise KeeperRefusedError("not known")

    async def forget(self, fence: int) -> None:
        self._check()
        self.forgotten.append(fence)

    async def shutdown(self, *, kill: bool = False) -> None:
        self.is_shut_down = kill

    async def events(self) -> AsyncIterator[OutputGrown | Exited]:
        while (event := await self._news.get()) is not None:
            yield event

    async def close(self) -> None:
        self.lose()

    def _check(self) -> None:
        if self.is_lost:
            raise KeeperLostError("the keeper is gone")

    def started(self, fence: int) -> None:
        self.starts[fence].set_result(
            Started(fence=fence, pid=7, start_ticks=1, boot_id="b", started_at_us=5)
        )

    def exited(self, fence: int, **fields: object) -> None:
        self._news.put_nowait(Exited(record=a_record(fence, **fields)))

    def lose(self) -> None:
        self.is_lost = True
        self._news.put_nowait(None)
        for answer in self.starts.values():
            if not answer.done():
                answer.set_exception(KeeperLostError("the keeper is gone"))


def a_record(fence: int, **fields: object) -> ExitRecord:
    found = {"outcome": Ending.EXITED, "exit_code": 0, "finished_at_us": 9, **fields}
    return ExitRecord(fence=fence, **found)  # type: ignore[arg-type]


class Stage:
    """A runner of processes, and the keepers it meets one after another."""

    def __init__(self, directory: Path) -> None:
        self.listener = RecordingListener()
        self.attempts: dict[int, Attempt] = {}
        self.links: list[ScriptedLink | KeeperError] = [ScriptedLink()]
        self.opened: list[ScriptedLink] = []
        self.places = Places(directory)
        self.places.outputs.open(())
        self.runner = ProcessRunner(
            places=self.places,
            base_environment={"PATH": "/bin"},
            clock=StillClock(),
            outputs=UnshippedOutputs(),
            open_link=self._open,
        )
        self.runner.listener = self.listener

    async def _open(self, root: Path) -> KeeperLink:
        link = self.links.pop(0)
        if isinstance(link, KeeperError):
            raise link
        self.opened.append(link)
        return cast("KeeperLink", link)

    @property
    def link(self) -> ScriptedLink:
        return self.opened[-1]

    async def begin(self, fence: int, **fields: object) -> Attempt:
        attempt = Attempt.of_lease(a_lease(fence, **fields))
        attempt.state = State.STARTING
        attempt.started_at = 3
        self.attempts[fence] = attempt
        self.runner.reserve(attempt)
        self.runner.begin(attempt)
        await settled()
        return attempt

    def outcome(self, fence: int) -> tuple[Outcome, str]:
        result = self.listener.results[fence]
        return result.outcome, result.error


async def settled() -> None:
    """Let everything that is ready have its turns."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest_asyncio.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path)
    await stage.runner.open()
    running = asyncio.ensure_future(stage.runner.run())
    await stage.runner.ready.wait()
    yield stage
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_a_start_an_end_and_a_release(stage: Stage) -> None:
    await stage.begin(1)
    stage.link.started(1)
    await settled()
    assert stage.listener.starts == [1]
    stage.link.exited(1)
    await settled()
    assert stage.outcome(1) == (Outcome.SUCCEEDED, "")
    stage.attempts[1].result = stage.listener.results[1]
    stage.runner.release(stage.attempts[1])
    await until(lambda: stage.link.forgotten)
    assert stage.link.forgotten == [1]
    assert (await stage.begin(2)).place == 1


async def test_an_end_may_be_heard_of_before_the_start(stage: Stage) -> None:
    await stage.begin(1)
    stage.link.exited(1)
    await settled()
    stage.link.started(1)
    await settled()
    assert stage.outcome(1) == (Outcome.SUCCEEDED, "")
    assert stage.listener.starts == []


async def test_a_failed_start_is_a_failure(stage: Stage) -> None:
    await stage.begin(1)
    stage.link.starts[1].set_result(StartFailed(fence=1, error="command not found: x"))
    stage.link.exited(1, outcome=Ending.START_FAILED, exit_code=None)
    await settled()
    assert stage.outcome(1) == (Outcome.FAILED, "command not found: x")


async def test_work_that_does_not_fit_never_reaches_the_keeper(stage: Stage) -> None:
    await stage.begin(1, call=Command())
    await stage.begin(2, workspace="../..")
    assert stage.outcome(1) == (Outcome.FAILED, "the command is empty")
    assert stage.outcome(2)[0] is Outcome.FAILED
    assert stage.link.starts == {}


async def test_a_cancel_before_the_request_prevents_it(stage: Stage) -> None:
    attempt = Attempt.of_lease(a_lease(1))
    attempt.state = State.STARTING
    stage.runner.begin(attempt)
    attempt.stop_reason = "by alice"
    stage.runner.cancel(attempt)
    await settled()
    assert stage.outcome(1) == (Outcome.CANCELLED, "by alice")
    assert stage.link.starts == {}


async def test_a_cancel_before_the_answer_is_repeated_after_it(stage: Stage) -> None:
    attempt = await stage.begin(1)
    attempt.stop_reason = "by alice"
    stage.runner.cancel(attempt)
    await settled()
    stage.link.started(1)
    await settled()
    assert stage.link.cancels == [(1, "by alice", None)] * 2


async def test_a_broken_connection_disturbs_nothing(stage: Stage) -> None:
    await stage.begin(1)
    stage.link.started(1)
    await settled()
    stage.links.append(ScriptedLink(AttemptStatus(fence=1, state="running", pid=7)))
    stage.link.lose()
    await settled()
    assert stage.listener.results == {}
    stage.link.exited(1)
    await settled()
    assert stage.outcome(1)[0] is Outcome.SUCCEEDED


async def test_an_unanswered_start_is_asked_again_once(stage: Stage) -> None:
    await stage.begin(1)
    stage.links.append(ScriptedLink())
    stage.link.lose()
    await settled()
    assert len(stage.opened) == 2
    stage.link.started(1)
    await settled()
    assert stage.listener.starts == [1]


async def test_an_unanswered_start_that_happened_is_taken_over(stage: Stage) -> None:
    cancelled = await stage.begin(1)
    await stage.begin(2)
    cancelled.stop_reason = "by alice"
    stage.links.append(
        ScriptedLink(
            AttemptStatus(fence=1, state="running", pid=7, started_at_us=5),
            AttemptStatus(fence=2, state="ended", record=a_record(2, exit_code=3)),
        )
    )
    stage.link.lose()
    await settled()
    assert stage.listener.starts == [1]
    assert stage.link.cancels == [(1, "by alice", None)]
    assert stage.outcome(2) == (Outcome.FAILED, "exited with code 3")
    assert stage.link.starts == {}


async def test_what_ran_and_is_not_known_any_more_is_lost(stage: Stage) -> None:
    await stage.begin(1)
    stage.link.started(1)
    await settled()
    stage.links.append(ScriptedLink())
    stage.link.lose()
    await settled()
    assert stage.outcome(1) == (
        Outcome.LOST,
        "the keeper of the process was lost, and its record with it",
    )


async def test_what_begins_while_there_is_no_keeper_begins_with_the_next(
    stage: Stage,
) -> None:
    gate = asyncio.Event()
    opening = stage.runner._open_link

    async def slow(root: Path) -> KeeperLink:
        await gate.wait()
        return await opening(root)

    stage.runner._open_link = slow
    stage.links.append(ScriptedLink())
    stage.link.lose()
    await settled()
    await stage.begin(1)
    ended = await stage.begin(2)
    ended.state = State.FINISHED
    stage.runner.release(ended)
    await settled()
    await until(lambda: stage.runner._broken_off)
    gate.set()
    await settled()
    stage.link.started(1)
    await until(lambda: stage.link.forgotten)
    assert stage.listener.starts == [1]
    assert stage.link.forgotten == [2]


async def test_a_keeper_that_does_not_come_back_is_tried_again(
    stage: Stage, tmp_path: Path
) -> None:
    stage.links += [KeeperError("no keeper"), ScriptedLink()]
    stage.link.lose()
    await until(lambda: len(stage.opened) == 2)


async def test_everything_is_killed_with_one_word_for_all_first(stage: Stage) -> None:
    for fence in (1, 2):
        await stage.begin(fence)
        stage.link.started(fence)
    await settled()
    killing = asyncio.ensure_future(stage.runner.kill_all())
    await settled()
    assert stage.link.is_shut_down is True
    assert stage.link.cancels == [
        (1, "the worker is stopping", 0.2),
        (2, "the worker is stopping", 0.2),
    ]
    for fence in (1, 2):
        stage.link.exited(fence, outcome=Ending.CANCELLED, reason="shut down")
    await killing
    assert stage.outcome(1) == (Outcome.CANCELLED, "the worker is stopping")
