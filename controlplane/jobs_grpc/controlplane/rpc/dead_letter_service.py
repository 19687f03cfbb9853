"""DeadLetterService: what failed for good."""

from __future__ import annotations

from typing import Any, Final

from grpc.aio import ServicerContext

from jobs_grpc.controlplane.core.rows.story import DeadLetterRow
from jobs_grpc.controlplane.core.state.errors import (
    ExecutionNotFoundError,
    InvalidError,
)
from jobs_grpc.controlplane.core.state.inputs import PurgeDeadLetters
from jobs_grpc.controlplane.leader.leader import Leader
from jobs_grpc.controlplane.storage.store import DeadLetterFilter, Store
from jobs_grpc.v1 import dead_letter_service_pb2 as pb
from jobs_grpc.v1.dead_letter_service_pb2_grpc import DeadLetterServiceServicer

from . import convert, paging
from .execution_service import find_execution
from .running_again import run_again
from .story_message import dead_letter

Context = ServicerContext[Any, Any]
# One call deals with this many, so that no commit is huge and no call endless.
BATCH: Final = 200
_MOST_IDS: Final = 1_000


class DeadLetterService(DeadLetterServiceServicer):
    """See the contract."""

    def __init__(self, leader: Leader, store: Store) -> None:
        self._leader = leader
        self._store = store

    async def ListDeadLetters(
        self, request: pb.ListDeadLettersRequest, context: Context
    ) -> pb.ListDeadLettersResponse:
        limit = paging.page_size(request.page_size)
        rows = await self._store.dead_letters(
            DeadLetterFilter(
                namespace=convert.namespace_of(request.namespace),
                workspace=request.workspace,
                job=request.job,
                before=paging.before(request.page_token),
            ),
            limit,
        )
        return pb.ListDeadLettersResponse(
            dead_letters=[dead_letter(row) for row in rows],
            next_page_token=paging.next_by_seq(rows, limit),
        )

    async def GetDeadLetter(
        self, request: pb.GetDeadLetterRequest, context: Context
    ) -> pb.GetDeadLetterResponse:
        namespace = convert.namespace_of(request.namespace)
        row = await self._find(namespace, request.execution_id)
        return pb.GetDeadLetterResponse(dead_letter=dead_letter(row))

    async def RequeueDeadLetters(
        self, request: pb.RequeueDeadLettersRequest, context: Context
    ) -> pb.RequeueDeadLettersResponse:
        namespace = convert.namespace_of(request.namespace)
        rows, has_more = await self._select(namespace, request.selection)
        answer = pb.RequeueDeadLettersResponse(has_more=has_more)
        for row in rows:
            old = await find_execution(self._store, namespace, row.execution_id)
            made = await run_again(
                self._leader,
                self._store,
                old,
                kind="requeue",
                # Two people who requeue the same one get the same execution.
                request_id=f"requeue:{row.execution_id}",
            )
            answer.requeued.add(origin_id=row.execution_id, execution_id=made)
        return answer

    async def PurgeDeadLetters(
        self, request: pb.PurgeDeadLettersRequest, context: Context
    ) -> pb.PurgeDeadLettersResponse:
        namespace = convert.namespace_of(request.namespace)
        rows, has_more = await self._select(namespace, request.selection)
        if rows:
            purge = PurgeDeadLetters(tuple(row.seq for row in rows))
            await self._leader.submit(purge)
        return pb.PurgeDeadLettersResponse(purged=len(rows), has_more=has_more)

    async def _select(
        self, namespace: str, wanted: pb.DeadLetterSelection
    ) -> tuple[list[DeadLetterRow], bool]:
        """Return some of the dead letters meant, and whether there are more."""
        if wanted.execution_ids:
            if len(wanted.execution_ids) > _MOST_IDS:
                raise InvalidError(
                    f"{len(wanted.execution_ids)} ids in one request",
                    hint=f"send at most {_MOST_IDS} at a time",
                    field="selection.execution_ids",
                )
            # Two spellings of one id are one dead letter.
            found = {
                row.seq: row
                for row in [
                    await self._find(namespace, one) for one in wanted.execution_ids
                ]
            }
            return list(found.values()), False
        bound = convert.instant(wanted, "failed_before")
        names_some = wanted.job or wanted.workspace or bound is not None
        if not (wanted.all or names_some):
            raise InvalidError(
                "the request names no dead letters",
                hint="give ids, a job, an age, or say all",
                field="selection",
            )
        rows = await self._store.dead_letters(
            DeadLetterFilter(
                namespace=namespace,
                workspace=wanted.workspace,
                job=wanted.job,
                failed_before=bound,
            ),
            BATCH + 1,
        )
        return list(rows[:BATCH]), len(rows) > BATCH

    async def _find(self, namespace: str, prefix: str) -> DeadLetterRow:
        execution = await find_execution(self._store, namespace, prefix)
        row = await self._store.dead_letter(execution.seq)
        if row is None:
            raise ExecutionNotFoundError(
                f"execution {execution.id} is no dead letter",
                hint="`jobs-grpc dead-letter list` shows them",
            )
        return row
