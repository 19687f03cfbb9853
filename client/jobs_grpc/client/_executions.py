"""Runs: look at, wait for, read the output of, cancel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from uuid import uuid4

from jobs_grpc.client import _convert, _convert_story
from jobs_grpc.client._errors import (
    DeadlineExceeded,
    ExecutionFailed,
    JobsError,
    NotRunning,
)
from jobs_grpc.client._follow import OutputEvent, OutputFollower
from jobs_grpc.client._settings import Target
from jobs_grpc.client._transport import Transport
from jobs_grpc.client.records.execution import Execution, ExecutionState
from jobs_grpc.client.records.explanation import Explanation
from jobs_grpc.client.records.output import OutputStream
from jobs_grpc.client.records.page import Page
from jobs_grpc.client.records.story import Trace
from jobs_grpc.v1 import execution_service_pb2 as pb
from jobs_grpc.v1.execution_service_pb2_grpc import ExecutionServiceStub
from jobs_grpc.wire.channel import DEFAULT_PAGE, MAX_PAGE

# What a server does without being told otherwise; well below any idle timeout.
_POLL_SECONDS = 30.0


class Executions:
    """The runs of the client's namespace. Ids work by any unique prefix."""

    def __init__(self, transport: Transport, target: Target) -> None:
        self._transport = transport
        self._target = target
        self._stub = ExecutionServiceStub(transport.channel)

    def handle(self, execution_id: str) -> ExecutionHandle:
        """Return the handle of an execution by its whole id, without asking the server."""
        return ExecutionHandle(self, execution_id)

    async def get(self, execution_id: str) -> Execution:
        request = pb.GetExecutionRequest(
            namespace=self._target.namespace, id=execution_id
        )
        answer = await self._transport.call(self._stub.GetExecution, request)
        return _convert_story.execution_story(answer)

    async def retry(self, execution_id: str, *, request_id: str = "") -> str:
        """Run an execution again that failed, was cancelled or lost; return the new id.

        It is a new execution of the job as it is defined now, with the old params.

        Raises:
            Conflict: it succeeded, or has not ended.
        """
        request = pb.RetryExecutionRequest(
            namespace=self._target.namespace,
            id=execution_id,
            request_id=request_id or uuid4().hex,
        )
        answer = await self._transport.call(self._stub.RetryExecution, request)
        return answer.execution_id

    async def trace(self, execution_id: str) -> Trace:
        """Return what happened to it, in order."""
        request = pb.TraceExecutionRequest(
            namespace=self._target.namespace, id=execution_id
        )
        answer = await self._transport.call(self._stub.TraceExecution, request)
        return _convert_story.trace(answer)

    async def explain(self, execution_id: str) -> Explanation:
        """Return why it is where it is: what it waits for, and who holds that."""
        request = pb.ExplainExecutionRequest(
            namespace=self._target.namespace, id=execution_id
        )
        answer = await self._transport.call(self._stub.ExplainExecution, request)
        return _convert.explanation(answer)

    async def list(
        self,
        *,
        job: str = "",
        states: Collection[ExecutionState] = (),
        workspace: str | None = None,
        limit: int = DEFAULT_PAGE,
    ) -> tuple[Execution, ...]:
        """Return the newest executions, newest first."""
        found: tuple[Execution, ...] = ()
        token = ""
        while len(found) < limit:
            page = await self.list_page(
                job=job,
                states=states,
                workspace=workspace,
                page_size=min(MAX_PAGE, limit - len(found)),
                page_token=token,
            )
            found += page.data
            token = page.next_page_token
            if not token:
                break
        return found

    async def list_page(
        self,
        *,
        job: str = "",
        states: Collection[ExecutionState] = (),
        workspace: str | None = None,
        page_size: int = DEFAULT_PAGE,
        page_token: str = "",
    ) -> Page[Execution]:
        """Return some executions, newest first, and where the next ones begin."""
        request = pb.ListExecutionsRequest(
            namespace=self._target.namespace,
            workspace=self._target.workspace_or(workspace),
            job=job,
            states=[_convert.to_state(state) for state in states],
            page_size=page_size,
            page_token=page_token,
        )
        answer = await self._transport.call(self._stub.ListExecutions, request)
        return Page(
            data=tuple(map(_convert.execution, answer.executions)),
            next_page_token=answer.next_page_token,
        )

    async def cancel(self, execution_id: str) -> str:
        """End a waiting execution, or ask for the end of a running one; return its id.

        The answer comes when the request is durable; `wait` awaits the end itself.

        Raises:
            NotRunning: it has ended already.
        """
        request = pb.CancelExecutionsRequest(
            namespace=self._target.namespace, execution_id=execution_id
        )
        ids = await self._cancel(request)
        if not ids:
            raise NotRunning(
                f"execution {execution_id} is not running",
                hint=f"`jobs-grpc execution get {execution_id}` shows how it ended",
            )
        return ids[0]

    async def cancel_job(
        self, job: str, *, workspace: str | None = None
    ) -> tuple[str, ...]:
        """Cancel every execution of a job that has not ended; return their ids.

        Raises:
            NotRunning: there is none.
        """
        request = pb.CancelExecutionsRequest(
            namespace=self._target.namespace,
            workspace=self._target.workspace_or(workspace),
            job=job,
        )
        ids = await self._cancel(request)
        if not ids:
            raise NotRunning(
                f"job {job!r} is not running",
                hint=f"`jobs-grpc status {job}` shows how it has fared",
            )
        return ids

    async def wait(
        self, execution_id: str, *, timeout: float | None = None
    ) -> Execution:
        """Return the execution when it is final, however often the server restarts.

        Raises:
            DeadlineExceeded: it is not final after `timeout` seconds; it goes on.
            Unavailable: the server was away for longer than the client's patience.
        """
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        backoff = self._transport.backoff()
        last_heard = loop.time()
        while True:
            poll = _POLL_SECONDS
            if deadline is not None:
                poll = max(0.0, min(poll, deadline - loop.time()))
            try:
                execution = await self._poll(execution_id, poll)
            except JobsError as problem:
                away = loop.time() - last_heard
                if not self._is_outage(problem) or _is_past(deadline):
                    raise
                if away > self._transport.patience:
                    raise
                await asyncio.sleep(backoff.next_delay())
                continue
            if execution.is_final:
                return execution
            last_heard = loop.time()
            backoff.reset()
            if _is_past(deadline):
                raise DeadlineExceeded(
                    f"execution {execution.id} is still {execution.state}",
                    code="DEADLINE_EXCEEDED",
                    hint="it goes on; wait again with: "
                    f"jobs-grpc execution wait {execution.id[:8]}",
                )

    async def output(
        self,
        execution_id: str,
        *,
        follow: bool = True,
        from_offset: int = 0,
        streams: Collection[OutputStream] | None = None,
        attempt: int | None = None,
    ) -> AsyncGenerator[OutputEvent, None]:
        """Yield what the execution writes, ending with an `OutputEnd`.

        With `follow`, until the execution is final; without, what is stored now. A lost
        stream is resumed where it broke: no byte comes twice. `attempt` is the current
        one unless said.
        """
        execution = await self.get(execution_id)
        follower = OutputFollower(
            self._transport,
            namespace=execution.namespace or self._target.namespace,
            execution_id=execution.id,
            attempt=execution.attempt if attempt is None else attempt,
            offset=from_offset,
            follow=follow,
            streams=streams or (),
        )
        async with aclosing(follower.events()) as events:
            async for event in events:
                yield event

    async def _poll(self, execution_id: str, seconds: float) -> Execution:
        request = pb.WaitExecutionRequest(
            namespace=self._target.namespace,
            id=execution_id,
            timeout=_convert.to_duration(seconds),
        )
        answer = await self._transport.call(
            self._stub.WaitExecution,
            request,
            timeout=seconds + self._transport.timeout,
            repeatable=False,
        )
        return _convert.execution(answer.execution)

    async def _cancel(self, request: pb.CancelExecutionsRequest) -> tuple[str, ...]:
        # Not repeated: after a lost answer the second call would say "not running".
        answer = await self._transport.call(
            self._stub.CancelExecutions, request, repeatable=False
        )
        return tuple(answer.execution_ids)

    def _is_outage(self, problem: JobsError) -> bool:
        lost_answer = isinstance(problem, DeadlineExceeded)
        return self._transport.was_reached and (problem.retriable or lost_answer)


class ExecutionHandle:
    """One execution: what `run` returns."""

    def __init__(self, executions: Executions, execution_id: str) -> None:
        self.id = execution_id
        self._executions = executions

    def __repr__(self) -> str:
        return f"ExecutionHandle({self.id!r})"

    async def get(self) -> Execution:
        return await self._executions.get(self.id)

    async def explain(self) -> Explanation:
        """Return why it is where it is; see `Executions.explain`."""
        return await self._executions.explain(self.id)

    async def trace(self) -> Trace:
        """Return what happened to it, in order."""
        return await self._executions.trace(self.id)

    def output(
        self,
        *,
        follow: bool = True,
        from_offset: int = 0,
        streams: Sequence[OutputStream] | None = None,
        attempt: int | None = None,
    ) -> AsyncGenerator[OutputEvent, None]:
        """Yield pieces and gaps as they come, then the end; see `Executions.output`."""
        return self._executions.output(
            self.id,
            follow=follow,
            from_offset=from_offset,
            streams=streams,
            attempt=attempt,
        )

    async def wait(self, *, timeout: float | None = None) -> Execution:
        """Return the execution when it is final, whatever its outcome."""
        return await self._executions.wait(self.id, timeout=timeout)

    async def result(self, *, timeout: float | None = None) -> Execution:
        """Return the execution when it has succeeded.

        Raises:
            ExecutionFailed: it ended otherwise; `execution` has the record.
        """
        execution = await self.wait(timeout=timeout)
        if execution.state is not ExecutionState.SUCCEEDED:
            raise ExecutionFailed(execution)
        return execution

    async def cancel(self) -> None:
        """Ask for its end; raises `NotRunning` if it has ended."""
        await self._executions.cancel(self.id)


def _is_past(deadline: float | None) -> bool:
    return deadline is not None and asyncio.get_running_loop().time() >= deadline
