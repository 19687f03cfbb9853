"""Definitions: apply, look at, switch on and off, delete, run.

A large `apply` is several calls, each of which the server commits whole or not at all.
So that a bad document changes nothing, every call is first made with `validate_only`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from jobs_grpc.client import _convert, _convert_plan
from jobs_grpc.client._errors import InvalidArgument, Violation
from jobs_grpc.client._executions import ExecutionHandle, Executions
from jobs_grpc.client._settings import Target
from jobs_grpc.client._submission import Submission, document_text
from jobs_grpc.client._submitter import Submitter
from jobs_grpc.client._transport import Transport
from jobs_grpc.client.records.job import Applied, Job
from jobs_grpc.client.records.page import Page
from jobs_grpc.client.records.plan import Plan
from jobs_grpc.v1 import job_service_pb2 as pb
from jobs_grpc.v1.job_service_pb2_grpc import JobServiceStub
from jobs_grpc.wire.channel import MAX_PAGE, MESSAGE_LIMIT

# A quarter of what the contract allows: one commit of 500 documents takes well under a
# second, so no other call waits long behind it.
_BATCH_DOCUMENTS = 500
_BATCH_BYTES = MESSAGE_LIMIT // 2
# Validation of 500 documents is the slowest call there is.
_APPLY_TIMEOUT = 60.0
_INDEXED = re.compile(r"documents\[(\d+)\]\.?")


class CanonicalDocument(Protocol):
    """A document that writes itself, as those of `jobs_grpc.jobfile` do."""

    def canonical_json(self) -> str: ...


class Jobs:
    """The definitions of the client's namespace."""

    def __init__(
        self,
        transport: Transport,
        target: Target,
        executions: Executions,
        submitter: Submitter,
    ) -> None:
        self._transport = transport
        self._target = target
        self._executions = executions
        self._submitter = submitter
        self._stub = JobServiceStub(transport.channel)

    async def apply(
        self,
        documents: Iterable[Mapping[str, Any] | CanonicalDocument | str],
        *,
        origins: Sequence[str] = (),
        validate_only: bool = False,
    ) -> tuple[Applied, ...]:
        """Create, update or leave alone each document; text is taken to be JSON.

        `origins` says where each came from, for messages.

        Raises:
            InvalidArgument: a document is not valid; nothing was changed. Its
                `violations` begin with the origin of the document at fault.
        """
        batches = list(_batches(documents, origins))
        results: list[Applied] = []
        if validate_only or len(batches) > 1:
            results = [
                one for batch in batches for one in await self._apply(batch, check=True)
            ]
            if validate_only:
                return tuple(results)
        results = []
        for batch in batches:
            results += await self._apply(batch, check=False)
        return tuple(results)

    async def plan(
        self,
        documents: Iterable[Mapping[str, Any] | CanonicalDocument | str],
        *,
        origins: Sequence[str] = (),
        count: int = 20,
    ) -> Plan:
        """Return what applying the documents would change; nothing is changed.

        `count` is how many of the next due times of each job are compared, at most 200.

        Raises:
            InvalidArgument: a document is not valid, as for `apply`.
        """
        answers = []
        for batch in _batches(documents, origins):
            request = pb.PlanJobsRequest(
                namespace=self._target.namespace,
                documents=batch.documents,
                count=count,
            )
            answers.append(await self._send(batch, self._stub.PlanJobs, request))
        return _convert_plan.plan(answers)

    async def get(self, name: str, *, workspace: str | None = None) -> Job:
        request = pb.GetJobRequest(job=_convert.job_ref(self._target, name, workspace))
        answer = await self._transport.call(self._stub.GetJob, request)
        return _convert.job(answer.job)

    async def list(
        self, *, labels: Sequence[str] = (), workspace: str | None = None
    ) -> tuple[Job, ...]:
        """Return every job, sorted by workspace and name.

        `labels` are `key=value` or `key`, and all must match. Without a workspace here
        or in the client, the jobs of every workspace.
        """
        found: tuple[Job, ...] = ()
        token = ""
        while True:
            page = await self.list_page(
                labels=labels, workspace=workspace, page_size=MAX_PAGE, page_token=token
            )
            found += page.data
            token = page.next_page_token
            if not token:
                return found

    async def list_page(
        self,
        *,
        labels: Sequence[str] = (),
        workspace: str | None = None,
        page_size: int = MAX_PAGE,
        page_token: str = "",
    ) -> Page[Job]:
        """Return some of the jobs that `list` returns, and where the next ones begin."""
        request = pb.ListJobsRequest(
            namespace=self._target.namespace,
            workspace=self._target.workspace_or(workspace),
            labels=labels,
            page_size=page_size,
            page_token=page_token,
        )
        answer = await self._transport.call(self._stub.ListJobs, request)
        return Page(
            data=tuple(map(_convert.job, answer.jobs)),
            next_page_token=answer.next_page_token,
        )

    async def delete(self, name: str, *, workspace: str | None = None) -> None:
        """Remove the definition and its schedules; history stays, what runs goes on."""
        request = pb.DeleteJobRequest(
            job=_convert.job_ref(self._target, name, workspace)
        )
        await self._transport.call(self._stub.DeleteJob, request, repeatable=False)

    async def enable(self, name: str, *, workspace: str | None = None) -> Job:
        return await self._set_enabled(name, workspace, enabled=True)

    async def disable(self, name: str, *, workspace: str | None = None) -> Job:
        """Let no schedule start the job; it can still be run by hand."""
        return await self._set_enabled(name, workspace, enabled=False)

    async def run(
        self,
        name: str,
        *,
        params: Mapping[str, Any] | None = None,
        not_before: datetime | None = None,
        request_id: str = "",
        workspace: str | None = None,
    ) -> ExecutionHandle:
        """Create an execution; the handle follows its output and waits for its end."""
        submission = Submission.stored(
            name, params=params, not_before=not_before, request_id=request_id
        )
        ids = await self._submitter.submit(
            [submission], self._target.workspace_or(workspace)
        )
        return self._executions.handle(ids[0])

    async def _set_enabled(
        self, name: str, workspace: str | None, *, enabled: bool
    ) -> Job:
        request = pb.SetJobEnabledRequest(
            job=_convert.job_ref(self._target, name, workspace), enabled=enabled
        )
        answer = await self._transport.call(self._stub.SetJobEnabled, request)
        return _convert.job(answer.job)

    async def _apply(self, batch: _Batch, *, check: bool) -> Sequence[Applied]:
        request = pb.ApplyJobsRequest(
            namespace=self._target.namespace,
            documents=batch.documents,
            validate_only=check,
        )
        answer = await self._send(batch, self._stub.ApplyJobs, request)
        return [_convert.applied(one) for one in answer.results]

    async def _send(self, batch: _Batch, method: Any, request: Any) -> Any:
        """Send a batch; what is wrong with a document is said with its origin."""
        timeout = max(self._transport.timeout, _APPLY_TIMEOUT)
        try:
            return await self._transport.call(method, request, timeout=timeout)
        except InvalidArgument as problem:
            problem.violations = tuple(map(batch.located, problem.violations))
            raise


class _Batch:
    """Documents that travel together, and where they came from."""

    def __init__(self) -> None:
        self.documents: list[pb.JobDocument] = []
        self.size = 0

    def add(self, document: pb.JobDocument) -> None:
        self.documents.append(document)
        self.size += document.ByteSize()

    def has_room_for(self, document: pb.JobDocument) -> bool:
        return (
            len(self.documents) < _BATCH_DOCUMENTS
            and self.size + document.ByteSize() <= _BATCH_BYTES
        )

    def located(self, violation: Violation) -> Violation:
        """Return the violation with the document's origin in place of its index."""
        indexed = _INDEXED.match(violation.field)
        if indexed is None or int(indexed[1]) >= len(self.documents):
            return violation
        origin = self.documents[int(indexed[1])].origin
        field = violation.field[indexed.end() :]
        parts = (origin, field) if origin else (field,)
        return Violation(": ".join(filter(None, parts)), violation.description)


def _batches(
    documents: Iterable[Mapping[str, Any] | CanonicalDocument | str],
    origins: Sequence[str],
) -> Iterator[_Batch]:
    batch = _Batch()
    for index, document in enumerate(documents):
        if isinstance(document, str | Mapping):
            text = document_text(document)
        else:
            text = document.canonical_json()
        message = pb.JobDocument(
            json=text, origin=origins[index] if index < len(origins) else ""
        )
        if batch.documents and not batch.has_room_for(message):
            yield batch
            batch = _Batch()
        batch.add(message)
    if batch.documents:
        yield batch
