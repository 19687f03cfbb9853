"""The calls of ScheduleService that concern backfills."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from grpc.aio import ServicerContext

from jobs_grpc.controlplane.core.decisions.backfilling import check_range
from jobs_grpc.controlplane.core.rows.schedules import BackfillRow
from jobs_grpc.controlplane.core.schedules.definitions import job_name
from jobs_grpc.controlplane.core.schedules.schedule_objects import find_schedule
from jobs_grpc.controlplane.core.state.backfill import (
    LOWEST_PRIORITY,
    MOST_DUE_TIMES,
    OVER,
    Backfill,
    BackfillState,
    count,
    too_many,
)
from jobs_grpc.controlplane.core.state.errors import (
    BackfillNotFoundError,
    InvalidError,
    NotRunningError,
)
from jobs_grpc.controlplane.core.state.inputs import BeginBackfill, ChangeBackfill
from jobs_grpc.controlplane.core.state.live import Job, Schedule
from jobs_grpc.controlplane.leader.backfills import kept
from jobs_grpc.controlplane.leader.leader import Leader
from jobs_grpc.controlplane.storage.store import Store
from jobs_grpc.runtime.clock import Clock
from jobs_grpc.v1 import backfill_pb2 as pb
from jobs_grpc.v1.schedule_service_pb2_grpc import ScheduleServiceServicer

from . import backfill_message, convert, paging
from .by_prefix import the_one
from .interceptor import principal
from .retrying import submitted

Context = ServicerContext[Any, Any]


class BackfillCalls(ScheduleServiceServicer):
    """Due times are counted here, outside of the core, which must not wait for that."""

    _leader: Leader
    _store: Store
    _clock: Clock

    async def CreateBackfill(
        self, request: pb.CreateBackfillRequest, context: Context
    ) -> pb.CreateBackfillResponse:
        start = _bound(request, "from")
        end = _bound(request, "to")
        parallel = request.parallel or 1
        priority = request.priority or LOWEST_PRIORITY
        now = self._clock.now()
        check_range(start, end, parallel=parallel, priority=priority, now=now)
        if request.order not in pb.BackfillOrder.values():
            message = f"there is no order of number {request.order}"
            raise InvalidError(message, field="order")

        def wanted() -> BeginBackfill:
            core = self._leader.core
            job = core.require_job(convert.key_of(request.job))
            schedules = _schedules(job, request.schedule)
            generation = core.backfills.generation
            return BeginBackfill(
                id=str(uuid.uuid4()),
                key=job.spec.key,
                revision=job.revision,
                schedules=tuple(one.spec for one in schedules),
                schedules_json=kept(schedules),
                start=start,
                end=end,
                newest_first=request.order == pb.BACKFILL_ORDER_NEWEST,
                parallel=parallel,
                priority=priority,
                total=0,
                started={},
                generation=generation,
                requested_by=principal().name,
            )

        async def counted() -> BeginBackfill:
            complete, _ = await self._counted(wanted())
            return complete

        if request.dry_run:
            preview = backfill_message.preview(*await self._counted(wanted()))
            return pb.CreateBackfillResponse(backfill=preview)
        made = await submitted(self._leader, counted)
        assert isinstance(made, Backfill)
        row = await self._row(made.key[0], made.id)
        return pb.CreateBackfillResponse(backfill=backfill_message.backfill(row))

    async def GetBackfill(
        self, request: pb.GetBackfillRequest, context: Context
    ) -> pb.GetBackfillResponse:
        row = await self._row(convert.namespace_of(request.namespace), request.id)
        return pb.GetBackfillResponse(backfill=backfill_message.backfill(row))

    async def ListBackfills(
        self, request: pb.ListBackfillsRequest, context: Context
    ) -> pb.ListBackfillsResponse:
        limit = paging.page_size(request.page_size)
        rows = await self._store.backfills(
            namespace=convert.namespace_of(request.namespace),
            workspace=request.workspace,
            job=request.job,
            before=paging.before(request.page_token),
            limit=limit,
        )
        return pb.ListBackfillsResponse(
            backfills=map(backfill_message.backfill, rows),
            next_page_token=paging.next_by_seq(rows, limit),
        )

    async def PauseBackfill(
        self, request: pb.PauseBackfillRequest, context: Context
    ) -> pb.PauseBackfillResponse:
        row = await self._change(request.namespace, request.id, BackfillState.PAUSED)
        return pb.PauseBackfillResponse(backfill=backfill_message.backfill(row))

    async def ResumeBackfill(
        self, request: pb.ResumeBackfillRequest, context: Context
    ) -> pb.ResumeBackfillResponse:
        row = await self._change(request.namespace, request.id, BackfillState.RUNNING)
        return pb.ResumeBackfillResponse(backfill=backfill_message.backfill(row))

    async def CancelBackfill(
        self, request: pb.CancelBackfillRequest, context: Context
    ) -> pb.CancelBackfillResponse:
        row = await self._change(
            request.namespace, request.id, BackfillState.CANCELLING
        )
        return pb.CancelBackfillResponse(backfill=backfill_message.backfill(row))

    async def _counted(self, wanted: BeginBackfill) -> tuple[BeginBackfill, int]:
        """Return the request with what the core has to know, and how much is left out."""
        rules = [one.rule for one in wanted.schedules]
        guess = too_many(rules, wanted.start, wanted.end)
        if guess is not None:
            raise _excess(f"about {guess:,}")
        started: dict[str, set[int]] = {one.id: set() for one in wanted.schedules}
        for schedule_id, due in await self._store.started(
            tuple(started), start=wanted.start, end=wanted.end
        ):
            started[schedule_id].add(due)
        total, left_out = await asyncio.to_thread(
            count, rules, tuple(started.values()), wanted.start, wanted.end
        )
        if total > MOST_DUE_TIMES:
            raise _excess("more")
        if total == 0:
            raise InvalidError(
                f"job {job_name(wanted.key)} has no due time in this range",
                hint="`jobs-grpc schedule preview` shows when a rule is due",
                field="from",
            )
        return replace(wanted, total=total, started=started), left_out

    async def _change(
        self, namespace: str, prefix: str, state: BackfillState
    ) -> BackfillRow:
        row = await self._row(convert.namespace_of(namespace), prefix)
        if row.state in OVER:
            raise NotRunningError(
                f"backfill {row.id} is {row.state}",
                hint=f"`jobs-grpc backfill get {row.id}` shows what became of it",
            )
        verb = {
            BackfillState.PAUSED: "paused by",
            BackfillState.RUNNING: "",
            BackfillState.CANCELLING: "cancelled by",
        }[state]
        reason = f"{verb} {principal().name}" if verb else ""
        changed = await self._leader.submit(
            ChangeBackfill(
                namespace=row.namespace, id=row.id, state=state, reason=reason
            )
        )
        assert isinstance(changed, Backfill)
        return await self._row(row.namespace, row.id)

    async def _row(self, namespace: str, prefix: str) -> BackfillRow:
        return await the_one(
            namespace,
            prefix,
            self._store.find_backfills,
            what="backfill",
            field="id",
            missing=BackfillNotFoundError,
        )


def _schedules(job: Job, name: str) -> Sequence[Schedule]:
    if name:
        return (find_schedule(job, name),)
    if not job.schedules:
        raise InvalidError(
            f"job {job_name(job.spec.key)} has no schedule, so there is nothing to"
            " backfill",
            hint="`jobs-grpc run` runs it by hand",
            field="job",
        )
    return tuple(job.schedules.values())


def _excess(how_many: str) -> InvalidError:
    return InvalidError(
        f"a backfill has at most {MOST_DUE_TIMES:,} due times, this range has {how_many}",
        hint="split the range",
        field="from",
    )


def _bound(request: pb.CreateBackfillRequest, field: str) -> int:
    found = convert.instant(request, field)
    if found is None:
        raise InvalidError("a backfill needs from and to", field=field)
    return found
