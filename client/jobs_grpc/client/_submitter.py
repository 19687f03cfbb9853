"""Sends submissions, up to a thousand in a call, one call after the other.

One after the other, because calls that overlap arrive in any order, and executions are
started in the order in which they were created.

Every submission has a request id, given or minted, so that repeating a call whose answer
was lost creates nothing twice. Minted ids are a prefix of this submitter's own and a
counter: a fresh UUID for each would cost as much as all the rest.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from jobs_grpc.client import _convert
from jobs_grpc.client._errors import InvalidArgument
from jobs_grpc.client._settings import Target
from jobs_grpc.client._submission import Submission, document_text
from jobs_grpc.client._transport import Transport
from jobs_grpc.client.records.execution import Trigger
from jobs_grpc.v1 import execution_service_pb2 as pb
from jobs_grpc.v1.execution_service_pb2_grpc import ExecutionServiceStub
from jobs_grpc.wire.channel import MAX_SUBMISSIONS, MESSAGE_LIMIT

# Below the limit of one message, with room for what surrounds the documents.
_BATCH_BYTES = MESSAGE_LIMIT * 3 // 4


class Submitter:
    """Creates executions; each call's executions are created together or not at all."""

    def __init__(
        self, transport: Transport, target: Target, *, trigger: Trigger
    ) -> None:
        self._transport = transport
        self._target = target
        self._trigger = _convert.to_trigger(trigger)
        self._stub = ExecutionServiceStub(transport.channel)
        self._prefix = secrets.token_hex(6)
        self._minted = count()
        self._last_document: Mapping[str, Any] | str | None = None
        self._last_text = ""

    async def submit(
        self, submissions: Iterable[Submission | str], workspace: str
    ) -> list[str]:
        """Return the executions' ids, in the order of the submissions."""
        ids: list[str] = []
        sending: asyncio.Task[list[str]] | None = None
        try:
            for batch in self._batches(submissions):
                if sending is not None:
                    ids += await sending
                sending = asyncio.create_task(self._send(batch, workspace))
                # Let the call leave; the next batch is written while the server works.
                await asyncio.sleep(0)
            if sending is not None:
                ids += await sending
        finally:
            if sending is not None:
                sending.cancel()
        return ids

    async def _send(self, batch: Sequence[pb.Submission], workspace: str) -> list[str]:
        request = pb.SubmitExecutionsRequest(
            namespace=self._target.namespace, workspace=workspace, submissions=batch
        )
        answer = await self._transport.call(self._stub.SubmitExecutions, request)
        return list(answer.execution_ids)

    def _batches(
        self, submissions: Iterable[Submission | str]
    ) -> Iterator[list[pb.Submission]]:
        batch: list[pb.Submission] = []
        size = 0
        for submission in submissions:
            message = self._message(submission)
            size += message.ByteSize()
            if batch and (len(batch) == MAX_SUBMISSIONS or size > _BATCH_BYTES):
                yield batch
                batch, size = [], message.ByteSize()
            batch.append(message)
        if batch:
            yield batch

    def _message(self, submission: Submission | str) -> pb.Submission:
        if isinstance(submission, str):
            return pb.Submission(
                job=submission, request_id=self._request_id(), trigger=self._trigger
            )
        message = pb.Submission(
            params=submission.params,
            request_id=submission.request_id or self._request_id(),
            trigger=self._trigger,
        )
        if submission.not_before is not None:
            message.not_before.CopyFrom(_convert.to_timestamp(submission.not_before))
        if submission.document is not None and not submission.job:
            message.document_json = self._text(submission.document)
        elif submission.job and submission.document is None:
            message.job = submission.job
        else:
            raise InvalidArgument(
                "a submission names a job or has a document, not both"
            )
        return message

    def _text(self, document: Mapping[str, Any] | str) -> str:
        # Large batches often share one document.
        if document is not self._last_document:
            self._last_text = document_text(document)
            self._last_document = document
        return self._last_text

    def _request_id(self) -> str:
        return f"{self._prefix}-{next(self._minted)}" if self._transport.retry else ""
