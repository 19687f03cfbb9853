"""Schedules one by one: those of documents to look at and switch, own ones to change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from jobs_grpc.client import _convert
from jobs_grpc.client._settings import Target
from jobs_grpc.client._transport import Transport
from jobs_grpc.client.records.job import Schedule
from jobs_grpc.client.records.page import Page
from jobs_grpc.v1 import schedule_service_pb2 as pb
from jobs_grpc.v1.schedule_service_pb2_grpc import ScheduleServiceStub
from jobs_grpc.wire.channel import DEFAULT_PAGE


class ScheduleObjects:
    """The schedules of the client's namespace. A schedule is named, or given by its id."""

    def __init__(self, transport: Transport, target: Target) -> None:
        self._transport = transport
        self._target = target
        self._stub = ScheduleServiceStub(transport.channel)

    async def create(
        self,
        job: str,
        name: str,
        entry: Mapping[str, Any],
        *,
        workspace: str | None = None,
    ) -> Schedule:
        """Add a schedule to a job; `entry` is an object of the job file's `schedule` key.

        It is first due after this call. Applying the job's document leaves it alone.
        """
        request = pb.CreateScheduleRequest(
            job=_convert.job_ref(self._target, job, workspace),
            name=name,
            entry_json=json.dumps(entry),
        )
        answer = await self._transport.call(
            self._stub.CreateSchedule, request, repeatable=False
        )
        return _convert.schedule(answer.schedule)

    async def get(
        self, job: str, schedule: str, *, workspace: str | None = None
    ) -> Schedule:
        request = pb.GetScheduleRequest(schedule=self._ref(job, schedule, workspace))
        answer = await self._transport.call(self._stub.GetSchedule, request)
        return _convert.schedule(answer.schedule)

    async def list(
        self,
        job: str = "",
        *,
        workspace: str | None = None,
        page_size: int = DEFAULT_PAGE,
        page_token: str = "",
    ) -> Page[Schedule]:
        """Return the schedules of a job, or of all jobs, sorted by job."""
        request = pb.ListSchedulesRequest(
            namespace=self._target.namespace,
            workspace=self._target.workspace_or(workspace),
            job=job,
            page_size=page_size,
            page_token=page_token,
        )
        answer = await self._transport.call(self._stub.ListSchedules, request)
        return Page(
            data=tuple(map(_convert.schedule, answer.schedules)),
            next_page_token=answer.next_page_token,
        )

    async def update(
        self,
        job: str,
        schedule: str,
        patch: Mapping[str, Any],
        *,
        workspace: str | None = None,
    ) -> Schedule:
        """Replace the keys that `patch` names; `None` takes one away, the rest stays.

        A new rule counts from now on and never fires retroactively.
        """
        request = pb.UpdateScheduleRequest(
            schedule=self._ref(job, schedule, workspace), patch_json=json.dumps(patch)
        )
        answer = await self._transport.call(self._stub.UpdateSchedule, request)
        return _convert.schedule(answer.schedule)

    async def delete(
        self, job: str, schedule: str, *, workspace: str | None = None
    ) -> None:
        """Remove a schedule that was made through the API; its decisions stay."""
        request = pb.DeleteScheduleRequest(schedule=self._ref(job, schedule, workspace))
        await self._transport.call(self._stub.DeleteSchedule, request, repeatable=False)

    async def enable(
        self, job: str, schedule: str, *, workspace: str | None = None
    ) -> Schedule:
        return await self._switch(job, schedule, workspace, enabled=True)

    async def disable(
        self,
        job: str,
        schedule: str,
        *,
        reason: str = "",
        until: datetime | None = None,
        workspace: str | None = None,
    ) -> Schedule:
        """Let it start nothing: for due times before `until`, or until it is enabled."""
        return await self._switch(
            job, schedule, workspace, enabled=False, reason=reason, until=until
        )

    async def _switch(
        self,
        job: str,
        schedule: str,
        workspace: str | None,
        *,
        enabled: bool,
        reason: str = "",
        until: datetime | None = None,
    ) -> Schedule:
        request = pb.SetScheduleEnabledRequest(
            schedule=self._ref(job, schedule, workspace), enabled=enabled, reason=reason
        )
        if until is not None:
            request.until.CopyFrom(_convert.to_timestamp(until))
        answer = await self._transport.call(self._stub.SetScheduleEnabled, request)
        return _convert.schedule(answer.schedule)

    def _ref(self, job: str, schedule: str, workspace: str | None) -> pb.ScheduleRef:
        owner = _convert.job_ref(self._target, job, workspace)
        return pb.ScheduleRef(job=owner, schedule=schedule)
