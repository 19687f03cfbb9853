"""PauseService: what stands still."""

from __future__ import annotations

import uuid
from typing import Any, Final

from grpc.aio import ServicerContext

from jobs_grpc.controlplane.core.state.errors import InvalidError
from jobs_grpc.controlplane.core.state.inputs import BeginPause, EndPauses
from jobs_grpc.controlplane.core.state.pauses import Pause
from jobs_grpc.controlplane.leader.leader import Leader
from jobs_grpc.controlplane.storage.store import PauseFilter, Store
from jobs_grpc.runtime.clock import Clock
from jobs_grpc.v1 import pause_service_pb2 as pb
from jobs_grpc.v1.pause_service_pb2_grpc import PauseServiceServicer

from . import convert, paging, pause_message
from .interceptor import principal

Context = ServicerContext[Any, Any]
LONGEST_NOTE: Final = 1_000


class PauseService(PauseServiceServicer):
    """See the contract."""

    def __init__(self, leader: Leader, store: Store, clock: Clock) -> None:
        self._leader = leader
        self._store = store
        self._clock = clock

    async def BeginPause(
        self, request: pb.BeginPauseRequest, context: Context
    ) -> pb.BeginPauseResponse:
        if len(request.note) > LONGEST_NOTE:
            raise InvalidError(
                f"a note has at most {LONGEST_NOTE} characters", field="note"
            )
        begun = await self._leader.submit(
            BeginPause(
                id=uuid.uuid4().hex[:12],
                scope=pause_message.scope_of(request.subject),
                note=request.note,
                who=principal().name,
                until=self._until(request),
                meanwhile=pause_message.meanwhile_of(request.meanwhile),
            )
        )
        assert isinstance(begun, Pause)
        return pb.BeginPauseResponse(pause=pause_message.pause(begun.row()))

    async def EndPauses(
        self, request: pb.EndPausesRequest, context: Context
    ) -> pb.EndPausesResponse:
        scope = None
        if not request.pause_id:
            scope = pause_message.scope_of(request.subject)
        who = principal().name
        ended = await self._leader.submit(
            EndPauses(pause_id=request.pause_id, scope=scope, who=who)
        )
        assert isinstance(ended, tuple)
        rows = [await self._store.pause(one.id) for one in ended]
        return pb.EndPausesResponse(
            pauses=[pause_message.pause(row) for row in rows if row is not None]
        )

    async def ListPauses(
        self, request: pb.ListPausesRequest, context: Context
    ) -> pb.ListPausesResponse:
        limit = paging.page_size(request.page_size)
        rows = await self._store.pauses(
            PauseFilter(
                namespace=convert.namespace_of(request.namespace),
                with_ended=request.with_ended,
                before=paging.start(request.page_token, int, str),
            ),
            limit,
        )
        last = rows[-1] if len(rows) == limit else None
        token = paging.page_token(last.since, last.pause_id) if last else ""
        return pb.ListPausesResponse(
            pauses=map(pause_message.pause, rows), next_page_token=token
        )

    def _until(self, request: pb.BeginPauseRequest) -> int | None:
        if request.HasField("until") and request.HasField("lasting"):
            raise InvalidError(
                "a pause ends at an instant or after a time, not both", field="lasting"
            )
        lasting = convert.length(request, "lasting", least=1)
        if lasting is not None:
            return self._clock.now() + lasting
        return convert.instant(request, "until")
