"""ScheduleService: what became of due times, and what will come due."""

from __future__ import annotations

from typing import Any, Final

from grpc.aio import ServicerContext

from jobs_grpc.controlplane.core.answers.due_times import Recorded, answer
from jobs_grpc.controlplane.core.rows.changes import ExecutionRow
from jobs_grpc.controlplane.core.schedules.meant_times import ask
from jobs_grpc.controlplane.core.schedules.upcoming import upcoming
from jobs_grpc.controlplane.core.state.errors import InvalidError
from jobs_grpc.controlplane.storage.store import DecisionFilter
from jobs_grpc.v1 import schedule_service_pb2 as pb

from . import convert, due_time_message, paging
from .backfill_calls import BackfillCalls
from .schedule_objects import ScheduleObjectCalls

_DUE_TIMES: Final = 10
_MOST_DUE_TIMES: Final = 1_000


class ScheduleService(ScheduleObjectCalls, BackfillCalls):
    """See the contract."""

    async def ListDecisions(
        self, request: pb.ListDecisionsRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListDecisionsResponse:
        limit = paging.page_size(request.page_size)
        before = paging.start(request.page_token, int, str)
        rows = await self._store.decisions(
            DecisionFilter(
                namespace=convert.namespace_of(request.namespace),
                workspace=request.workspace,
                job=request.job,
                start=convert.instant(request, "from"),
                end=convert.instant(request, "to"),
                reasons=tuple(map(_reason, request.reasons)),
                before=before,
            ),
            limit,
        )
        last = rows[-1] if len(rows) == limit else None
        return pb.ListDecisionsResponse(
            decisions=[convert.decision(row) for row in rows],
            next_page_token=(
                paging.page_token(last.due_at, last.schedule_id) if last else ""
            ),
        )

    async def ListDueTimes(
        self, request: pb.ListDueTimesRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListDueTimesResponse:
        job = self._job(convert.key_of(request.job))
        start = convert.instant(request, "from")
        after = self._clock.now() if start is None else start
        if not 0 <= request.count <= _MOST_DUE_TIMES:
            raise InvalidError(
                f"count must be 1-{_MOST_DUE_TIMES}, got {request.count}", field="count"
            )
        pauses = self._leader.core.pauses
        found = upcoming(job, after, request.count or _DUE_TIMES, pauses)
        zones = {one.spec.rule.timezone for one in job.schedules.values()}
        return pb.ListDueTimesResponse(
            due_times=[convert.due_time(one) for one in found],
            timezone=zones.pop() if len(zones) == 1 else "UTC",
        )

    async def ExplainDueTime(
        self, request: pb.ExplainDueTimeRequest, context: ServicerContext[Any, Any]
    ) -> pb.ExplainDueTimeResponse:
        job = self._job(convert.key_of(request.job))
        meant = ask(job, request.at)
        record = {}
        for one in meant:
            for at in one.to_look_up:
                recorded = await self._recorded(one.schedule.spec.id, at)
                if recorded is not None:
                    record[(one.schedule.spec.id, at)] = recorded
        pauses = self._leader.core.pauses
        found = answer(job, meant, record, pauses, self._clock.now())
        return due_time_message.answer(found)

    async def _recorded(self, schedule_id: str, at: int) -> Recorded | None:
        """Return what the store has of a due time and of what its decision names."""
        decision = await self._store.decision_at(schedule_id, at)
        if decision is None:
            return None
        holder, pause = decision.holder, None
        if decision.reason == "paused":
            pause, holder = await self._store.pause(holder), ""
        return Recorded(
            decision=decision,
            execution=await self._execution(decision.namespace, decision.execution_id),
            holder=await self._execution(decision.namespace, holder),
            pause=pause,
        )

    async def _execution(self, namespace: str, id_: str) -> ExecutionRow | None:
        if not id_:
            return None
        found = await self._store.find_executions(
            namespace=namespace, prefix=id_, limit=1
        )
        return found[0] if found else None


def _reason(value: pb.SkipReason.ValueType) -> str:
    try:
        return pb.SkipReason.Name(value).removeprefix("SKIP_REASON_").lower()
    except ValueError:
        raise InvalidError(f"{value} is no reason", field="reasons") from None
