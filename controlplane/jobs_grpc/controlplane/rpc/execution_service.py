"""ExecutionService: runs, by hand or by program."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from grpc.aio import ServicerContext

from jobs_grpc.controlplane.core.answers.explaining import Explanation, explain_ended
from jobs_grpc.controlplane.core.answers.tracing import attempts_of, trace
from jobs_grpc.controlplane.core.core import Core
from jobs_grpc.controlplane.core.rows.changes import DecisionRow, ExecutionRow
from jobs_grpc.controlplane.core.state.errors import (
    ExecutionNotFoundError,
    InvalidError,
)
from jobs_grpc.controlplane.core.state.inputs import Cancel, Explain, Submission, Submit
from jobs_grpc.controlplane.core.state.job import STANDALONE, JobSpec
from jobs_grpc.controlplane.core.state.states import FINAL, State
from jobs_grpc.controlplane.core.state.story import Event
from jobs_grpc.controlplane.leader.leader import Leader
from jobs_grpc.controlplane.leader.specs import document_from_json, spec_of
from jobs_grpc.controlplane.storage.store import (
    DecisionFilter,
    ExecutionFilter,
    Store,
)
from jobs_grpc.jobfile import validate_params
from jobs_grpc.v1 import execution_service_pb2 as pb
from jobs_grpc.v1.execution_pb2 import ExecutionState, Trigger
from jobs_grpc.v1.execution_service_pb2_grpc import ExecutionServiceServicer
from jobs_grpc.wire.channel import MAX_SUBMISSIONS
from jobs_grpc.wire.states import STATE_WORDS, TRIGGER_WORDS
from jobs_grpc.wire.time import microseconds

from . import convert, paging
from .by_prefix import the_one
from .explanation_message import explanation
from .following import Following
from .interceptor import principal
from .job_service import read_document
from .running_again import run_again
from .story_message import attempt, link, trace_entry

Context = ServicerContext[Any, Any]
LONGEST_WAIT: Final = 60.0


async def find_execution(store: Store, namespace: str, prefix: str) -> ExecutionRow:
    """Return the one execution whose id begins with `prefix`."""
    return await the_one(
        namespace,
        prefix,
        store.find_executions,
        what="execution",
        field="execution_id",
        missing=ExecutionNotFoundError,
    )


class ExecutionService(ExecutionServiceServicer):
    """See the contract."""

    def __init__(self, leader: Leader, store: Store, following: Following) -> None:
        self._leader = leader
        self._store = store
        self._following = following

    async def SubmitExecutions(
        self, request: pb.SubmitExecutionsRequest, context: Context
    ) -> pb.SubmitExecutionsResponse:
        if not 1 <= len(request.submissions) <= MAX_SUBMISSIONS:
            raise InvalidError(
                f"{len(request.submissions)} submissions in one request",
                hint=f"send 1 to {MAX_SUBMISSIONS} at a time",
                field="submissions",
            )
        namespace = convert.namespace_of(request.namespace)
        workspace = request.workspace or STANDALONE
        known = await self._known(namespace, request.submissions)
        ids = [known.get(one.request_id, "") for one in request.submissions]
        jobs = _KnownJobs(self._leader.core, namespace, workspace)
        fresh = [
            (number, self._submission(one, id_, jobs))
            for number, (one, id_) in enumerate(
                zip(request.submissions, _mint(len(ids)), strict=True)
            )
            if not ids[number]
        ]
        if fresh:
            trigger = _trigger(request.submissions)
            created = await self._leader.submit(
                Submit(
                    namespace=namespace,
                    workspace=workspace,
                    trigger=trigger,
                    requested_by=principal().name,
                    submissions=tuple(one for _, one in fresh),
                )
            )
            assert isinstance(created, tuple)
            for (number, _), id_ in zip(fresh, created, strict=True):
                ids[number] = id_
        return pb.SubmitExecutionsResponse(execution_ids=ids)

    async def GetExecution(
        self, request: pb.GetExecutionRequest, context: Context
    ) -> pb.GetExecutionResponse:
        namespace = convert.namespace_of(request.namespace)
        row = await find_execution(self._store, namespace, request.id)
        earlier = await self._store.attempts(row.seq)
        letter = await self._store.dead_letter(row.seq)
        return pb.GetExecutionResponse(
            execution=convert.execution(row),
            attempts=[attempt(one) for one in attempts_of(row, earlier)]
            if earlier
            else (),
            links=[link(one) for one in await self._store.links(row.seq)],
            dead_letter_reason=letter.reason if letter is not None else "",
            timed_out_by=await self._timed_out_by(row),
        )

    async def RetryExecution(
        self, request: pb.RetryExecutionRequest, context: Context
    ) -> pb.RetryExecutionResponse:
        namespace = convert.namespace_of(request.namespace)
        row = await find_execution(self._store, namespace, request.id)
        made = await run_again(
            self._leader,
            self._store,
            row,
            kind="retry",
            request_id=request.request_id,
        )
        return pb.RetryExecutionResponse(execution_id=made, retry_of=row.id)

    async def TraceExecution(
        self, request: pb.TraceExecutionRequest, context: Context
    ) -> pb.TraceExecutionResponse:
        namespace = convert.namespace_of(request.namespace)
        row = await find_execution(self._store, namespace, request.id)
        entries = trace(
            row,
            decision=await self._decision(row),
            attempts=await self._store.attempts(row.seq),
            events=await self._store.events(row.seq),
            links=await self._store.links(row.seq),
        )
        return pb.TraceExecutionResponse(
            execution_id=row.id,
            state=convert.state_from_word(row.state),
            entries=[trace_entry(one) for one in entries],
        )

    async def ListExecutions(
        self, request: pb.ListExecutionsRequest, context: Context
    ) -> pb.ListExecutionsResponse:
        limit = paging.page_size(request.page_size)
        before = paging.before(request.page_token)
        rows = await self._store.executions(
            ExecutionFilter(
                namespace=convert.namespace_of(request.namespace),
                workspace=request.workspace,
                job=request.job,
                states=_states(request.states),
                before=before,
            ),
            limit,
        )
        return pb.ListExecutionsResponse(
            executions=[convert.execution(row) for row in rows],
            next_page_token=paging.next_by_seq(rows, limit),
        )

    async def CancelExecutions(
        self, request: pb.CancelExecutionsRequest, context: Context
    ) -> pb.CancelExecutionsResponse:
        namespace = convert.namespace_of(request.namespace)
        reason = f"cancelled by {principal().name}"
        if request.WhichOneof("subject") == "job":
            key = (namespace, request.workspace or STANDALONE, request.job)
            cancel = Cancel(namespace=namespace, job=key, reason=reason)
        else:
            row = await find_execution(self._store, namespace, request.execution_id)
            cancel = Cancel(namespace=namespace, execution_id=row.id, reason=reason)
        ids = await self._leader.submit(cancel)
        assert isinstance(ids, tuple)
        return pb.CancelExecutionsResponse(execution_ids=ids)

    async def WaitExecution(
        self, request: pb.WaitExecutionRequest, context: Context
    ) -> pb.WaitExecutionResponse:
        namespace = convert.namespace_of(request.namespace)
        timeout = 30.0
        if request.HasField("timeout"):
            timeout = min(microseconds(request.timeout) / 1e6, LONGEST_WAIT)
        row = await find_execution(self._store, namespace, request.id)
        with self._leader.waiters.expect(row.id) as ended:
            # Read again: it may have ended before the waiter stood.
            row = await find_execution(self._store, namespace, row.id)
            if row.state not in FINAL and timeout > 0:
                await asyncio.wait([ended], timeout=timeout)
                row = await find_execution(self._store, namespace, row.id)
        return pb.WaitExecutionResponse(execution=convert.execution(row))

    async def ExplainExecution(
        self, request: pb.ExplainExecutionRequest, context: Context
    ) -> pb.ExplainExecutionResponse:
        namespace = convert.namespace_of(request.namespace)
        row = await find_execution(self._store, namespace, request.id)
        found = None
        if row.state not in FINAL:
            found = await self._leader.submit(Explain(row.id))
            if found is None:
                # It ended meanwhile.
                row = await find_execution(self._store, namespace, row.id)
        if found is None:
            found = explain_ended(row)
        assert isinstance(found, Explanation)
        return explanation(found)

    async def FollowOutput(
        self, request: pb.FollowOutputRequest, context: Context
    ) -> AsyncIterator[pb.FollowOutputResponse]:
        namespace = convert.namespace_of(request.namespace)
        row = await find_execution(self._store, namespace, request.execution_id)
        async for message in self._following.follow(row, request):
            yield message

    async def _known(
        self, namespace: str, submissions: Iterable[pb.Submission]
    ) -> Mapping[str, str]:
        """Return the executions that earlier calls created for these request ids."""
        request_ids = [one.request_id for one in submissions if one.request_id]
        if not request_ids:
            return {}
        return await self._store.executions_of_requests(
            namespace=namespace, request_ids=request_ids
        )

    async def _timed_out_by(self, row: ExecutionRow) -> str:
        """Return which limit an execution reached, if it ended so."""
        if row.state != State.TIMED_OUT:
            return ""
        events = await self._store.events(row.seq)
        reached = [one for one in events if one.kind == Event.TIMED_OUT]
        return str(json.loads(reached[-1].detail_json)["which"]) if reached else ""

    async def _decision(self, row: ExecutionRow) -> DecisionRow | None:
        """Return the decision that an execution comes from, if a schedule made it."""
        if not row.schedule_id:
            return None
        rows = await self._store.decisions(
            DecisionFilter(
                row.namespace,
                job=row.job,
                start=row.scheduled_for,
                end=row.scheduled_for + 1,
            ),
            1_000,
        )
        return next((one for one in rows if one.execution_id == row.id), None)

    def _submission(
        self, one: pb.Submission, id_: str, known: _KnownJobs
    ) -> Submission:
        name, spec = one.job, None
        if not name:
            if not one.document_json:
                raise InvalidError(
                    "a submission names a job or brings a document", field="submissions"
                )
            spec = spec_of(
                read_document(one.document_json, origin="", namespace=known.namespace)
            )
            if spec.namespace != known.namespace:
                raise InvalidError(
                    f'the document is of namespace "{spec.namespace}", the request of'
                    f' "{known.namespace}"',
                    hint="submit it with a request for its own namespace",
                    field="document_json",
                )
        if spec is None and not one.params:
            params = known.defaults_of(name)
        else:
            params = _checked(spec or known.spec_of(name), dict(one.params))
        not_before = convert.instant(one, "not_before")
        return Submission(id_, params, name, spec, not_before, one.request_id or None)


class _KnownJobs:
    """What one request needs of the stored jobs it names, looked up once each."""

    def __init__(self, core: Core, namespace: str, workspace: str) -> None:
        self._jobs = core.live.jobs
        self._workspace = workspace
        self._defaults: dict[str, Mapping[str, Any]] = {}
        self.namespace = namespace

    def spec_of(self, name: str) -> JobSpec | None:
        job = self._jobs.get((self.namespace, self._workspace, name))
        return None if job is None else job.spec

    def defaults_of(self, name: str) -> Mapping[str, Any]:
        """Return the params of a run that gives none; refuse it if it must."""
        defaults = self._defaults.get(name)
        if defaults is None:
            defaults = self._defaults[name] = _checked(self.spec_of(name), {})
        return defaults


def _checked(spec: JobSpec | None, given: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the complete params of a run; the core refuses a job that is unknown."""
    if spec is None:
        return {}
    if not given and not spec.has_declared_params:
        return spec.params
    return validate_params(document_from_json(spec.document_json), given)


def _trigger(submissions: Sequence[pb.Submission]) -> str:
    given = submissions[0].trigger or Trigger.TRIGGER_API
    if given not in TRIGGER_WORDS:
        raise InvalidError(f"there is no trigger of number {given}", field="trigger")
    return TRIGGER_WORDS[given]


def _states(wanted: Sequence[ExecutionState.ValueType]) -> tuple[str, ...]:
    for state in wanted:
        if state and state not in STATE_WORDS:
            raise InvalidError(f"there is no state of number {state}", field="states")
    return tuple(STATE_WORDS[state] for state in wanted if state)


def _mint(count: int) -> Iterator[str]:
    """Yield random UUIDs (version 4), drawn from the system with one call."""
    text = os.urandom(16 * count).hex()
    for start in range(0, len(text), 32):
        one = text[start : start + 32]
        variant = "89ab"[int(one[16], 16) & 3]
        yield (f"{one[:8]}-{one[8:12]}-4{one[13:16]}-{variant}{one[17:20]}-{one[20:]}")
