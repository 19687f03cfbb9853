"""Pauses: begin, end, list."""

from __future__ import annotations

from datetime import datetime

from jobs_grpc.client import _convert
from jobs_grpc.client._settings import Target
from jobs_grpc.client._transport import Transport
from jobs_grpc.client.records.page import Page
from jobs_grpc.client.records.pause import (
    Pause,
    PauseKind,
    PauseMeanwhile,
    PauseSubject,
)
from jobs_grpc.v1 import pause_pb2
from jobs_grpc.v1 import pause_service_pb2 as pb
from jobs_grpc.v1.pause_service_pb2_grpc import PauseServiceStub
from jobs_grpc.wire.channel import DEFAULT_PAGE


class Pauses:
    """What stands still."""

    def __init__(self, transport: Transport, target: Target) -> None:
        self._transport = transport
        self._target = target
        self._stub = PauseServiceStub(transport.channel)

    async def begin(
        self,
        subject: PauseSubject,
        *,
        note: str = "",
        until: datetime | None = None,
        lasting: float | None = None,
        meanwhile: PauseMeanwhile = PauseMeanwhile.DROP,
    ) -> Pause:
        """Let schedules start nothing, or a queue lease nothing.

        It ends at `until`, after `lasting` seconds, or when `end` is called. What runs
        goes on, and runs by hand still start. Pauses of one subject add up.
        """
        request = pb.BeginPauseRequest(
            subject=self._subject(subject),
            note=note,
            meanwhile=_convert.to_meanwhile(meanwhile),
        )
        if until is not None:
            request.until.CopyFrom(_convert.to_timestamp(until))
        if lasting is not None:
            request.lasting.CopyFrom(_convert.to_duration(lasting))
        answer = await self._transport.call(
            self._stub.BeginPause, request, repeatable=False
        )
        return _convert.pause(answer.pause)

    async def end(
        self, subject: PauseSubject | None = None, *, pause_id: str = ""
    ) -> tuple[Pause, ...]:
        """End one pause by its id, or all of exactly one subject.

        Raises:
            NotFound: there is no such pause in force.
        """
        request = pb.EndPausesRequest(pause_id=pause_id)
        if subject is not None:
            request.subject.CopyFrom(self._subject(subject))
        answer = await self._transport.call(
            self._stub.EndPauses, request, repeatable=False
        )
        return tuple(map(_convert.pause, answer.pauses))

    async def list(
        self,
        *,
        with_ended: bool = False,
        page_size: int = DEFAULT_PAGE,
        page_token: str = "",
    ) -> Page[Pause]:
        """Return the pauses of the namespace and of everything, newest first."""
        request = pb.ListPausesRequest(
            namespace=self._target.namespace,
            with_ended=with_ended,
            page_size=page_size,
            page_token=page_token,
        )
        answer = await self._transport.call(self._stub.ListPauses, request)
        return Page(
            data=tuple(map(_convert.pause, answer.pauses)),
            next_page_token=answer.next_page_token,
        )

    def _subject(self, subject: PauseSubject) -> pause_pb2.PauseSubject:
        workspace = subject.workspace
        if not workspace and subject.kind in {PauseKind.JOB, PauseKind.SCHEDULE}:
            workspace = self._target.workspace
        return pause_pb2.PauseSubject(
            kind=_convert.to_pause_kind(subject.kind),
            namespace=subject.namespace or self._target.namespace,
            workspace=workspace,
            job=subject.job,
            schedule=subject.schedule,
            queue=subject.queue,
        )
