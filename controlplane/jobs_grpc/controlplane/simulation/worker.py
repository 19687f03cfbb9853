"""The virtual worker: it takes every lease, and each takes the time it was said to take."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from typing import Final

from jobs_grpc.controlplane.core.state.effects import (
    CancelWanted,
    LeaseGranted,
    Message,
    StartGranted,
)
from jobs_grpc.controlplane.core.state.execution import Execution, Result
from jobs_grpc.controlplane.core.state.inputs import (
    Finished,
    Input,
    OpenSession,
    Reports,
    Started,
    Starting,
)
from jobs_grpc.controlplane.core.state.job import Delivery, JobSpec
from jobs_grpc.controlplane.core.state.states import Move

from .outcome import Simulated

_SESSION: Final = "simulated"


class VirtualWorker:
    """One worker with all slots of the fleet and every function."""

    def __init__(
        self, slots: int, functions: Iterable[str], length: Callable[[JobSpec], int]
    ) -> None:
        self.slots = slots
        self._functions = tuple(sorted(set(functions)))
        self._length = length
        # Attempts that run: when they end, and how.
        self._ends: list[tuple[int, int, Move]] = []
        self._executions: dict[int, Execution] = {}
        # When an end was last told, a microsecond before it.
        self._told_early = -1
        # What it says in the next step.
        self._reports: list[Starting | Started | Finished] = []

    def hello(self) -> OpenSession:
        return OpenSession(
            stream=1,
            new_session_id=_SESSION,
            worker_id=_SESSION,
            worker=_SESSION,
            labels={},
            slots=self.slots,
            functions=self._functions,
            held=(),
            version="",
        )

    def next_end(self) -> int | None:
        return self._ends[0][0] if self._ends else None

    def told(self, now: int) -> int:
        """Return the instant that a step at `now` stands for: ends are told early."""
        return now + 1 if now in (self.next_end(), self._told_early) else now

    def says(self, now: int) -> list[Input]:
        """Return what it has to say at this instant."""
        while self._ends and self._ends[0][0] <= now:
            at, fence, move = heapq.heappop(self._ends)
            self._told_early = at
            # One that was cancelled has ended already.
            if self._executions.pop(fence, None) is not None:
                result = Result(move=move, finished_at=at + 1, exit_code=0)
                self._reports.append(Finished(fence, result))
        if not self._reports:
            return []
        reports, self._reports = tuple(self._reports), []
        return [Reports(_SESSION, reports)]

    def hears(
        self, messages: Iterable[Message], now: int, known: dict[str, Simulated]
    ) -> None:
        """Take what the core says after a step."""
        for message in messages:
            match message:
                case LeaseGranted():
                    self._executions[message.fence] = message.execution
                    if message.execution.spec.delivery is Delivery.AT_MOST_ONCE:
                        self._reports.append(Starting(message.fence))
                    else:
                        self._reports.append(Started(message.fence, now))
                        self._begin(message.fence, now, known)
                case StartGranted():
                    self._begin(message.fence, now, known)
                case CancelWanted():
                    if self._executions.pop(message.fence, None) is not None:
                        result = Result(move=Move.CANCEL, finished_at=now)
                        self._reports.append(Finished(message.fence, result))
                case _:
                    pass

    @property
    def has_something_to_say(self) -> bool:
        return bool(self._reports)

    def _begin(self, fence: int, now: int, known: dict[str, Simulated]) -> None:
        execution = self._executions.get(fence)
        if execution is None:
            return
        spec = execution.spec
        length, limit = self._length(spec), spec.timeout
        move = Move.SUCCEED if length < limit else Move.TIME_OUT
        # Told just before, for what lasts a minute should not meet the next minute.
        heapq.heappush(self._ends, (now + min(length, limit) - 1, fence, move))
        record = known.get(execution.id)
        if record is not None:
            record.started_at = now
            record.state = "running"
