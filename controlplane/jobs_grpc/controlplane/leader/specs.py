"""From the job document, which people write, to the spec that the core runs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from jobs_grpc.controlplane.core.state.job import (
    BreakerPolicy,
    CatchUp,
    Concurrency,
    Delivery,
    Fallback,
    JobKey,
    JobSpec,
    Overlap,
    ScheduleSpec,
    Timeouts,
    Work,
    schedule_id,
)
from jobs_grpc.controlplane.core.state.retrying import Backoff, RetryPolicy
from jobs_grpc.jobfile import JobDocument
from jobs_grpc.jobfile.part.breaker import Breaker
from jobs_grpc.jobfile.part.dependencies import SCHEDULE_NAME
from jobs_grpc.schedule import (
    ParsedSchedule,
    join_rule,
    parse_duration,
    parse_schedule,
    read_calendars,
    rule_identity,
)

# `overlap: allow` without a number.
_NO_LIMIT: Final = 1_000_000_000


def spec_of(document: JobDocument) -> JobSpec:
    """Return what the core needs of a document."""
    return JobSpec(
        namespace=document.namespace,
        workspace=document.workspace,
        name=document.name,
        document_json=document.canonical_json(),
        enabled=document.enabled,
        work=_work_of(document),
        variables=document.variables,
        params=_defaults_of(document),
        has_declared_params=bool(document.params),
        schedules=_schedules_of(document),
        overlap=Overlap(document.overlap.policy),
        max_active=(
            document.overlap.max or _NO_LIMIT
            if document.overlap.policy == "allow"
            else 1
        ),
        max_queued=document.overlap.queued,
        catch_up=CatchUp(document.catch_up.mode),
        catch_up_window=parse_duration(document.catch_up.window),
        catch_up_max=document.catch_up.limit,
        pause_after_failures=document.pause_after_failures or 0,
        # `false` is 0.
        quarantine=int(document.quarantine),
        queue=document.queue,
        priority=document.priority,
        timeout=document.timeout_us,
        delivery=Delivery(document.effective_delivery),
        retry=_retry_of(document),
        fallback=_fallback_of(document),
        timeouts=_timeouts_of(document),
        cancel_signal=document.cancel.signal,
        cancel_grace=document.grace_us,
        output_limit=document.output_limit_bytes,
        selector=document.targets.selector,
        skips_without_worker=document.targets.if_none == "skip",
        labels=document.labels,
        description=document.description,
        slots=document.slots,
        concurrency=_concurrency_of(document),
        breakers=tuple(_policy_of(one) for one in document.breakers),
    )


# Executions pinned to old revisions and restarts read the same few documents again.
@lru_cache(maxsize=1024)
def document_from_json(text: str) -> JobDocument:
    """Return the document of a canonical JSON text."""
    return JobDocument.from_canonical(text)


def spec_from_json(text: str) -> JobSpec:
    """Return the spec of a canonical JSON text."""
    return spec_of(JobDocument.from_canonical(text))


def _concurrency_of(document: JobDocument) -> Concurrency | None:
    given = document.concurrency
    if given is None:
        return None
    return Concurrency(key=given.key, max=given.limit, per_worker=given.per_worker)


def _policy_of(breaker: Breaker) -> BreakerPolicy:
    return BreakerPolicy(
        name=breaker.name,
        failures=breaker.failures,
        window=parse_duration(breaker.window),
        percent=breaker.percent or 0,
        of=breaker.of,
        open_for=parse_duration(breaker.open_for),
        successes=breaker.successes,
        exit_codes=frozenset(breaker.exit_codes),
        per_worker=breaker.scope == "worker",
    )


def _work_of(document: JobDocument) -> Work:
    command = document.command
    line, argv = (command, ()) if isinstance(command, str) else ("", tuple(command))
    return Work(
        type=document.type,
        line=line,
        argv=argv,
        script=document.script,
        interpreter=document.interpreter,
        function=document.function,
        environment=document.environment,
        working_dir=document.working_dir,
        stdin=document.stdin,
    )


def _defaults_of(document: JobDocument) -> Mapping[str, Any]:
    return {
        name: parameter.default
        for name, parameter in document.params.items()
        if parameter.default is not None
    }


def schedule_of(key: JobKey, entry: Mapping[str, object]) -> ScheduleSpec:
    """Return the spec of a schedule that stands beside the job's document.

    The calendars that it names are in the entry.

    Raises:
        RuleError: the entry is no schedule.
    """
    entry = dict(entry)
    calendars = read_calendars(entry.pop("calendars", {}))
    parsed = parse_schedule(entry, seed="/".join(key), calendars=calendars)
    return _schedule_spec(parsed, schedule_id(key, parsed.name or ""))


def _timeouts_of(document: JobDocument) -> Timeouts | None:
    limits = document.timeouts
    if limits is None:
        return None
    return Timeouts(limits.queue_us, limits.total_us, limits.silence_us)


def _fallback_of(document: JobDocument) -> Fallback | None:
    fallback = document.fallback
    if fallback is None:
        return None
    if fallback.job:
        return Fallback(job=fallback.job)
    return Fallback(spec=spec_of(document.fallback_document()))


def _retry_of(document: JobDocument) -> RetryPolicy | None:
    retry = document.retry
    if retry is None:
        return None
    return RetryPolicy(
        max_retries=retry.limit,
        backoff=Backoff(retry.backoff),
        initial=parse_duration(retry.initial),
        factor=retry.factor,
        longest=parse_duration(retry.max),
        has_full_jitter=retry.has_full_jitter,
        on=retry.causes,
        exit_codes=frozenset(retry.exit_codes),
        delays=retry.delays_us,
    )


def _schedules_of(document: JobDocument) -> tuple[ScheduleSpec, ...]:
    key: JobKey = (document.namespace, document.workspace, document.name)
    found: dict[str, ScheduleSpec] = {}
    for parsed in document.schedules:
        rule = parsed.rule
        id_ = schedule_id(key, parsed.name or rule_identity(rule))
        # The same rule given twice is one rule.
        found.setdefault(id_, _schedule_spec(parsed, id_))
    if document.dependencies:
        id_ = schedule_id(key, SCHEDULE_NAME)
        found[id_] = ScheduleSpec(
            id=id_,
            name=SCHEDULE_NAME,
            rule=join_rule(document.dependencies),
            params={},
            enabled=True,
        )
    return tuple(found.values())


def _schedule_spec(parsed: ParsedSchedule, id_: str) -> ScheduleSpec:
    return ScheduleSpec(
        id=id_,
        name=parsed.name or "",
        rule=parsed.rule,
        params=parsed.params,
        enabled=parsed.enabled,
        disabled_reason=parsed.disabled_reason,
        disabled_until=parsed.disabled_until,
        jitter=parsed.jitter,
        max_runs=parsed.max_runs,
        blackout=parsed.blackout,
    )
