"""Executions that failed for good: look at, run again, put aside."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from jobs_grpc.client import _convert, _convert_story
from jobs_grpc.client._settings import Target
from jobs_grpc.client._transport import Transport
from jobs_grpc.client.records.page import Page
from jobs_grpc.client.records.story import DeadLetter, Requeued
from jobs_grpc.v1 import dead_letter_service_pb2 as pb
from jobs_grpc.v1.dead_letter_service_pb2_grpc import DeadLetterServiceStub
from jobs_grpc.wire.channel import DEFAULT_PAGE


class DeadLetters:
    """The dead letters of the client's namespace."""

    def __init__(self, transport: Transport, target: Target) -> None:
        self._transport = transport
        self._target = target
        self._stub = DeadLetterServiceStub(transport.channel)

    async def list_page(
        self,
        *,
        job: str = "",
        workspace: str | None = None,
        page_size: int = DEFAULT_PAGE,
        page_token: str = "",
    ) -> Page[DeadLetter]:
        """Return some, those of the newest executions first."""
        request = pb.ListDeadLettersRequest(
            namespace=self._target.namespace,
            workspace=self._target.workspace_or(workspace),
            job=job,
            page_size=page_size,
            page_token=page_token,
        )
        answer = await self._transport.call(self._stub.ListDeadLetters, request)
        return Page(
            data=tuple(map(_convert_story.dead_letter, answer.dead_letters)),
            next_page_token=answer.next_page_token,
        )

    async def get(self, execution_id: str) -> DeadLetter:
        """Return the mark of an execution.

        Raises:
            NotFound: there is no such execution, or it is no dead letter.
        """
        request = pb.GetDeadLetterRequest(
            namespace=self._target.namespace, execution_id=execution_id
        )
        answer = await self._transport.call(self._stub.GetDeadLetter, request)
        return _convert_story.dead_letter(answer.dead_letter)

    async def requeue(
        self,
        execution_ids: Collection[str] = (),
        *,
        every: bool = False,
        job: str = "",
        workspace: str | None = None,
    ) -> tuple[Requeued, ...]:
        """Make a new execution of each; without ids, of all that the rest leaves.

        `every` must be said where nothing else restricts.
        """
        found: tuple[Requeued, ...] = ()
        request = pb.RequeueDeadLettersRequest(
            namespace=self._target.namespace,
            selection=self._selection(execution_ids, every, job, workspace, None),
        )
        while True:
            answer = await self._transport.call(
                self._stub.RequeueDeadLetters, request, repeatable=False
            )
            found += tuple(
                Requeued(origin_id=one.origin_id, execution_id=one.execution_id)
                for one in answer.requeued
            )
            if not answer.has_more:
                return found

    async def purge(
        self,
        execution_ids: Collection[str] = (),
        *,
        every: bool = False,
        job: str = "",
        workspace: str | None = None,
        failed_before: datetime | None = None,
    ) -> int:
        """Take the marks off, and return of how many; the executions stay."""
        purged = 0
        request = pb.PurgeDeadLettersRequest(
            namespace=self._target.namespace,
            selection=self._selection(
                execution_ids, every, job, workspace, failed_before
            ),
        )
        while True:
            answer = await self._transport.call(
                self._stub.PurgeDeadLetters, request, repeatable=False
            )
            purged += answer.purged
            if not answer.has_more:
                return purged

    def _selection(
        self,
        execution_ids: Collection[str],
        every: bool,
        job: str,
        workspace: str | None,
        failed_before: datetime | None,
    ) -> pb.DeadLetterSelection:
        selection = pb.DeadLetterSelection(
            execution_ids=execution_ids,
            all=every,
            job=job,
            workspace=self._target.workspace_or(workspace),
        )
        if failed_before is not None:
            selection.failed_before.CopyFrom(_convert.to_timestamp(failed_before))
        return selection
