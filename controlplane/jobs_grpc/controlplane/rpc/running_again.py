"""Executions run again: by hand, or from the dead letters."""

from __future__ import annotations

import json
from typing import Final
from uuid import uuid4

from jobs_grpc.controlplane.core.rows.changes import ExecutionRow
from jobs_grpc.controlplane.core.state.errors import InvalidError, NotRetryableError
from jobs_grpc.controlplane.core.state.inputs import RunAgain
from jobs_grpc.controlplane.core.state.states import FINAL, State
from jobs_grpc.controlplane.leader.leader import Leader
from jobs_grpc.controlplane.leader.specs import spec_from_json
from jobs_grpc.controlplane.storage.store import Store

from .interceptor import principal

_NOTHING_TO_MEND: Final = frozenset({State.SUCCEEDED, State.SKIPPED})


async def run_again(
    leader: Leader, store: Store, row: ExecutionRow, *, kind: str, request_id: str = ""
) -> str:
    """Return the id of a new execution like an old one, which stays as it is.

    Raises:
        NotRetryableError: the old one succeeded, or has not ended.
    """
    if row.state not in FINAL:
        raise NotRetryableError(
            f"execution {row.id} has not ended: it is {row.state}",
            hint="wait for its end, or cancel it first",
        )
    if row.state in _NOTHING_TO_MEND:
        raise NotRetryableError(
            f"execution {row.id} {row.state}; only what failed, timed out, was"
            " cancelled or lost is retried",
            hint=f"to run the job once more: jobs-grpc run {row.job}",
        )
    if request_id:
        known = await store.executions_of_requests(
            namespace=row.namespace, request_ids=[request_id]
        )
        if request_id in known:
            return known[request_id]
    answer = await leader.submit(
        RunAgain(
            id=str(uuid4()),
            kind=kind,
            origin_seq=row.seq,
            origin_id=row.id,
            spec=spec_from_json(await _document(store, row)),
            is_of_job=row.job_id != 0,
            params=json.loads(row.params_json),
            requested_by=principal().name,
            request_id=request_id,
        )
    )
    return str(answer)


async def _document(store: Store, row: ExecutionRow) -> str:
    """Return what an execution ran: its own document, or its job's of that time."""
    if row.document_json is not None:
        return row.document_json
    text = await store.document(row.job_id, row.revision)
    if text is None:
        raise InvalidError(
            f"the definition that execution {row.id} ran is not kept any more",
            hint=f"run the job as it is now: jobs-grpc run {row.job}",
        )
    return text
