"""The calls of ScheduleService that concern single schedules."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

from grpc.aio import ServicerContext

from jobs_grpc.controlplane.core.schedules.schedule_objects import (
    find_schedule,
    require_api_owned,
)
from jobs_grpc.controlplane.core.state.errors import InvalidError
from jobs_grpc.controlplane.core.state.inputs import (
    DeleteSchedule,
    Input,
    PutSchedule,
    SetScheduleEnabled,
)
from jobs_grpc.controlplane.core.state.job import STANDALONE, JobKey
from jobs_grpc.controlplane.core.state.live import Job, Schedule
from jobs_grpc.controlplane.leader.leader import Leader
from jobs_grpc.controlplane.leader.schedule_entries import made, merged, read_entry
from jobs_grpc.controlplane.leader.specs import document_from_json
from jobs_grpc.controlplane.storage.store import Store
from jobs_grpc.runtime.clock import Clock
from jobs_grpc.v1 import schedule_service_pb2 as pb
from jobs_grpc.v1.schedule_service_pb2_grpc import ScheduleServiceServicer

from . import convert, paging
from .retrying import submitted

Context = ServicerContext[Any, Any]
_LONGEST_REASON: Final = 500


class ScheduleObjectCalls(ScheduleServiceServicer):
    """What they are is looked up in the live term; what they become is committed first."""

    def __init__(self, leader: Leader, store: Store, clock: Clock) -> None:
        self._leader = leader
        self._store = store
        self._clock = clock

    async def CreateSchedule(
        self, request: pb.CreateScheduleRequest, context: Context
    ) -> pb.CreateScheduleResponse:
        entry = read_entry(request.entry_json, field="entry_json")

        async def create() -> Input:
            job = self._job(convert.key_of(request.job))
            spec, text = made(
                document_from_json(job.spec.document_json), request.name, entry
            )
            return PutSchedule(job.spec.key, spec, text, 0)

        schedule = await self._submit(create)
        return pb.CreateScheduleResponse(schedule=self._message(schedule))

    async def GetSchedule(
        self, request: pb.GetScheduleRequest, context: Context
    ) -> pb.GetScheduleResponse:
        job = self._job(convert.key_of(request.schedule.job))
        found = find_schedule(job, request.schedule.schedule)
        return pb.GetScheduleResponse(schedule=self._message(found))

    async def ListSchedules(
        self, request: pb.ListSchedulesRequest, context: Context
    ) -> pb.ListSchedulesResponse:
        limit = paging.page_size(request.page_size)
        namespace = convert.namespace_of(request.namespace)
        begin = paging.start(request.page_token, str, str, int)
        workspace, name, seen = begin or ("", "", 0)
        found: list[tuple[JobKey, int, Schedule]] = []
        if request.job:
            key = (namespace, request.workspace or STANDALONE, request.job)
            found = _of_job(self._job(key))[seen:]
        else:
            jobs = self._leader.core.live.jobs
            if seen:
                job = jobs.get((namespace, workspace, name))
                found = _of_job(job)[seen:] if job else []
            while len(found) <= limit:
                records = await self._store.jobs(
                    namespace=namespace,
                    workspace=request.workspace,
                    after=(workspace, name),
                    limit=limit,
                )
                for record in records:
                    workspace, name = record.job.workspace, record.job.name
                    job = jobs.get((namespace, workspace, name))
                    found.extend(_of_job(job) if job else ())
                if len(records) < limit:
                    break
        token = ""
        if len(found) > limit:
            (_, *last), number, _ = found[limit - 1]
            token = paging.page_token(*last, number)
        return pb.ListSchedulesResponse(
            schedules=[self._message(one) for _, _, one in found[:limit]],
            next_page_token=token,
        )

    async def UpdateSchedule(
        self, request: pb.UpdateScheduleRequest, context: Context
    ) -> pb.UpdateScheduleResponse:
        patch = read_entry(request.patch_json, field="patch_json")

        async def update() -> Input:
            job = self._job(convert.key_of(request.schedule.job))
            known = find_schedule(job, request.schedule.schedule)
            require_api_owned(known)
            assert known.object is not None
            entry = merged(json.loads(known.object.entry_json), patch)
            spec, text = made(
                document_from_json(job.spec.document_json), known.spec.name, entry
            )
            return PutSchedule(job.spec.key, spec, text, known.object.revision)

        schedule = await self._submit(update)
        return pb.UpdateScheduleResponse(schedule=self._message(schedule))

    async def DeleteSchedule(
        self, request: pb.DeleteScheduleRequest, context: Context
    ) -> pb.DeleteScheduleResponse:
        key = convert.key_of(request.schedule.job)
        await self._leader.submit(DeleteSchedule(key, request.schedule.schedule))
        return pb.DeleteScheduleResponse()

    async def SetScheduleEnabled(
        self, request: pb.SetScheduleEnabledRequest, context: Context
    ) -> pb.SetScheduleEnabledResponse:
        until = convert.instant(request, "until")
        if request.enabled and (request.reason or until is not None):
            raise InvalidError(
                "a reason and an instant go with disabling, not with enabling",
                field="reason" if request.reason else "until",
            )
        if len(request.reason) > _LONGEST_REASON or not request.reason.isprintable():
            raise InvalidError(
                f"a reason is one line of at most {_LONGEST_REASON} characters",
                field="reason",
            )
        key = convert.key_of(request.schedule.job)
        name = request.schedule.schedule
        switch = SetScheduleEnabled(key, name, request.enabled, request.reason, until)
        schedule = await self._leader.submit(switch)
        assert isinstance(schedule, Schedule)
        return pb.SetScheduleEnabledResponse(schedule=self._message(schedule))

    async def _submit(self, make: Callable[[], Awaitable[Input]]) -> Schedule:
        answer = await submitted(self._leader, make)
        assert isinstance(answer, Schedule)
        return answer

    def _job(self, key: JobKey) -> Job:
        return self._leader.core.require_job(key)

    def _message(self, schedule: Schedule) -> Any:
        return convert.schedule(schedule, now=self._clock.now())


def _of_job(job: Job) -> list[tuple[JobKey, int, Schedule]]:
    return [
        (job.spec.key, number, one)
        for number, one in enumerate(job.schedules.values(), 1)
    ]
