"""JobService: definitions."""

from __future__ import annotations

import asyncio
from statistics import median_low
from typing import Any, Final

from grpc.aio import ServicerContext

from jobs_grpc.controlplane.core.rows.changes import JobRecord
from jobs_grpc.controlplane.core.state.errors import InvalidError, JobNotFoundError
from jobs_grpc.controlplane.core.state.inputs import (
    Applied,
    ApplyJobs,
    DeleteJob,
    SetJobEnabled,
)
from jobs_grpc.controlplane.core.state.job import JobKey, JobSpec
from jobs_grpc.controlplane.core.state.live import Job
from jobs_grpc.controlplane.leader import planning
from jobs_grpc.controlplane.leader.journal import NotLeadingError
from jobs_grpc.controlplane.leader.leader import Leader
from jobs_grpc.controlplane.leader.specs import document_from_json, spec_of
from jobs_grpc.controlplane.storage.store import ExecutionFilter, Store
from jobs_grpc.jobfile import Defaults, JobDocument, Problem, ProblemsError, load_text
from jobs_grpc.runtime.clock import Clock
from jobs_grpc.v1 import job_pb2
from jobs_grpc.v1 import job_service_pb2 as pb
from jobs_grpc.v1.job_service_pb2_grpc import JobServiceServicer
from jobs_grpc.wire.channel import MAX_DOCUMENTS
from jobs_grpc.wire.time import timestamp

from . import convert, paging, pause_message
from .plan_message import job_plan

Context = ServicerContext[Any, Any]

# Due times in a plan: of one job, of one job at most, of all together.
DEFAULT_PLANNED: Final = 20
MOST_PLANNED: Final = 200
MOST_PLANNED_IN_ALL: Final = 50_000
# Runs that an expected duration is taken from.
MEASURED: Final = 20


def read_document(text: str, *, origin: str, namespace: str) -> JobDocument:
    """Return a document that came over the wire, or raise `ProblemsError`."""
    loaded = load_text(
        text, origin=origin, format="json", defaults=Defaults(namespace=namespace)
    )
    if len(loaded) != 1:
        message = "must be one job, not a workspace or a list"
        raise ProblemsError([Problem(origin, None, None, "", message)])
    return loaded[0].document


def _specs(request: pb.ApplyJobsRequest | pb.PlanJobsRequest) -> tuple[JobSpec, ...]:
    """Return what the documents of a request mean, or raise everything that is wrong."""
    if len(request.documents) > MAX_DOCUMENTS:
        raise InvalidError(
            f"{len(request.documents)} documents in one request",
            hint=f"send at most {MAX_DOCUMENTS} at a time",
            field="documents",
        )
    namespace = convert.namespace_of(request.namespace)
    problems: list[Problem] = []
    specs = []
    for number, document in enumerate(request.documents):
        origin = document.origin or f"documents[{number}]"
        try:
            specs.append(
                spec_of(
                    read_document(document.json, origin=origin, namespace=namespace)
                )
            )
        except ProblemsError as error:
            problems.extend(error.problems)
    if problems:
        raise ProblemsError(problems)
    return tuple(specs)


class JobService(JobServiceServicer):
    """See the contract."""

    def __init__(self, leader: Leader, store: Store, clock: Clock) -> None:
        self._leader = leader
        self._store = store
        self._clock = clock

    async def ApplyJobs(
        self, request: pb.ApplyJobsRequest, context: Context
    ) -> pb.ApplyJobsResponse:
        specs = _specs(request)
        applied = await self._leader.submit(
            ApplyJobs(
                specs=specs,
                sources=("api",) * len(specs),
                validate_only=request.validate_only,
            )
        )
        assert isinstance(applied, tuple)
        return pb.ApplyJobsResponse(results=[_result(one) for one in applied])

    async def PlanJobs(
        self, request: pb.PlanJobsRequest, context: Context
    ) -> pb.PlanJobsResponse:
        specs = _specs(request)
        asked = request.count if request.count > 0 else DEFAULT_PLANNED
        count = min(asked, MOST_PLANNED)
        if count * len(specs) > MOST_PLANNED_IN_ALL:
            raise InvalidError(
                f"{count} due times of {len(specs)} documents are too many for one plan",
                hint=f"together at most {MOST_PLANNED_IN_ALL}: ask for fewer due times",
                field="count",
            )
        applied = await self._leader.submit(
            ApplyJobs(specs=specs, sources=("api",) * len(specs), validate_only=True)
        )
        assert isinstance(applied, tuple)
        live, now = self._leader.core.live, self._clock.now()
        sessions = [one for one in live.sessions.values() if one.stream is not None]
        plans = []
        for one, spec in zip(applied, specs, strict=True):
            standing = live.jobs.get(spec.key)
            lengths = await self._lengths(spec.key) if standing is not None else []
            length = median_low(lengths) if lengths else None
            plans.append(
                job_plan(
                    one,
                    spec,
                    # Up to milliseconds each; other calls take their turn between.
                    planning.plan(standing, spec, now=now, count=count, length=length),
                    length=length,
                    measured=len(lengths),
                    workers=planning.matching(spec, sessions),
                )
            )
            await asyncio.sleep(0)
        return pb.PlanJobsResponse(
            plans=plans, planned_at=timestamp(now), workers_connected=len(sessions)
        )

    async def _lengths(self, key: JobKey) -> list[int]:
        """Return how long the last runs took that succeeded, in microseconds."""
        namespace, workspace, name = key
        rows = await self._store.executions(
            ExecutionFilter(namespace, workspace, name, states=("succeeded",)), MEASURED
        )
        return [
            row.finished_at - row.started_at
            for row in rows
            if row.finished_at is not None and row.started_at is not None
        ]

    async def GetJob(
        self, request: pb.GetJobRequest, context: Context
    ) -> pb.GetJobResponse:
        return pb.GetJobResponse(job=await self._job(convert.key_of(request.job)))

    async def ListJobs(
        self, request: pb.ListJobsRequest, context: Context
    ) -> pb.ListJobsResponse:
        limit = paging.page_size(request.page_size)
        after = paging.start(request.page_token, str, str) or ("", "")
        found: list[job_pb2.Job] = []
        while len(found) < limit:
            records = await self._store.jobs(
                namespace=convert.namespace_of(request.namespace),
                workspace=request.workspace,
                after=after,
                limit=limit,
            )
            for record in records:
                after = (record.job.workspace, record.job.name)
                message = self._message(record, labels=request.labels)
                if message is not None:
                    found.append(message)
                if len(found) == limit:
                    break
            if len(records) < limit:
                return pb.ListJobsResponse(
                    jobs=found,
                    next_page_token=(
                        paging.page_token(*after) if len(found) == limit else ""
                    ),
                )
        return pb.ListJobsResponse(
            jobs=found, next_page_token=paging.page_token(*after)
        )

    async def DeleteJob(
        self, request: pb.DeleteJobRequest, context: Context
    ) -> pb.DeleteJobResponse:
        await self._leader.submit(DeleteJob(convert.key_of(request.job)))
        return pb.DeleteJobResponse()

    async def SetJobEnabled(
        self, request: pb.SetJobEnabledRequest, context: Context
    ) -> pb.SetJobEnabledResponse:
        key = convert.key_of(request.job)
        await self._leader.submit(SetJobEnabled(key, request.enabled))
        return pb.SetJobEnabledResponse(job=await self._job(key))

    async def _job(self, key: JobKey) -> job_pb2.Job:
        record = await self._store.job(key)
        if record is None:
            raise JobNotFoundError(
                f'job "{key[2]}" not found in namespace "{key[0]}", workspace "{key[1]}"',
                hint="`jobs-grpc list` shows the jobs",
            )
        message = self._message(record)
        assert message is not None
        return message

    def _message(self, record: JobRecord, *, labels: Any = ()) -> job_pb2.Job | None:
        spec = _spec_of(record)
        known = spec.labels if spec else {}
        for wanted in labels:
            name, has_value, value = wanted.partition("=")
            if name not in known or (has_value and known[name] != value):
                return None
        job = self._live_job(record)
        pauses = self._leader.core.pauses if job is not None else None
        message = convert.job(
            record, spec, now=self._clock.now(), live=job, pauses=pauses
        )
        if job is not None and pauses:
            pause = pauses.over_job(job)
            if pause is not None:
                message.pause.CopyFrom(pause_message.pause(pause.row()))
        return message

    def _live_job(self, record: JobRecord) -> Job | None:
        """Return a job as the term has it; `None` if there is no term."""
        row = record.job
        try:
            jobs = self._leader.core.live.jobs
        except NotLeadingError:
            return None
        job = jobs.get((row.namespace, row.workspace, row.name))
        if job is None or job.job_id != row.job_id or job.revision != row.revision:
            return None
        return job


def _spec_of(record: JobRecord) -> JobSpec | None:
    """Return what a stored document means; `None` if only another version can say."""
    try:
        return spec_of(document_from_json(record.job.document_json))
    except ValueError:
        return None


def _result(applied: Applied) -> pb.ApplyJobsResponse.Result:
    namespace, workspace, name = applied.key
    return pb.ApplyJobsResponse.Result(
        job=pb.JobRef(namespace=namespace, workspace=workspace, name=name),
        outcome=pb.ApplyOutcome.Value(f"APPLY_OUTCOME_{applied.outcome.upper()}"),
        revision=applied.revision,
    )
