"""`status`: how jobs have fared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from jobs_grpc.client.cli.commands.job import all_rules, enabled_text, pause_fields
from jobs_grpc.client.cli.display.moments import clock_text, relative_text
from jobs_grpc.client.cli.display.printing import (
    print_fields,
    print_record,
    print_records,
)
from jobs_grpc.client.cli.display.table import Column
from jobs_grpc.client.cli.options import Command, Settings, pass_settings
from jobs_grpc.client.cli.session import converse
from jobs_grpc.client.records.execution import Execution, ExecutionState
from jobs_grpc.client.records.job import Job

if TYPE_CHECKING:
    from jobs_grpc.client._client import Client

# States in which something happens now, the most telling first.
_BUSY = (
    ExecutionState.RUNNING,
    ExecutionState.CANCELLING,
    ExecutionState.RETRYING,
)


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A job and the one word for it: what it does now, else how it ended last."""

    job: Job
    state: ExecutionState

    def to_json(self) -> dict[str, Any]:
        return {**self.job.to_json(), "status": self.state.value}


@click.command(cls=Command)
@click.argument("job", required=False)
@pass_settings
def status(settings: Settings, job: str | None) -> None:
    """Show counters, last and next run of one job, or a line for every job."""
    if job is None:
        _show_all(settings)
        return

    async def work(client: Client) -> JobStatus:
        found = await client.jobs.get(job)
        if not found.active:
            return _status(found, None)
        busy = await client.executions.list(
            job=found.name, states=_BUSY, workspace=found.workspace
        )
        return _status(found, _most_telling(busy))

    one = converse(settings, work, job=job)
    print_record(settings, one, name=one.job.name, show=lambda: _show(one))


def _show_all(settings: Settings) -> None:
    async def work(client: Client) -> list[JobStatus]:
        jobs = await client.jobs.list()
        states: Mapping[tuple[str, str], ExecutionState] = {}
        if any(one.active for one in jobs):
            busy = await client.executions.list(states=_BUSY, limit=10_000)
            states = _states_by_job(busy)
        return [_status(one, states.get((one.workspace, one.name))) for one in jobs]

    now = datetime.now(UTC)
    print_records(
        settings,
        converse(settings, work),
        _columns(now),
        name=lambda one: one.job.name,
        empty="there are no jobs",
    )


def _status(job: Job, busy: ExecutionState | None) -> JobStatus:
    return JobStatus(job, busy or job.statistics.last_state or ExecutionState.PENDING)


def _states_by_job(
    busy: tuple[Execution, ...],
) -> Mapping[tuple[str, str], ExecutionState]:
    by_job: dict[tuple[str, str], list[Execution]] = {}
    for execution in busy:
        by_job.setdefault((execution.workspace, execution.job), []).append(execution)
    return {
        key: state
        for key, executions in by_job.items()
        if (state := _most_telling(tuple(executions)))
    }


def _most_telling(executions: tuple[Execution, ...]) -> ExecutionState | None:
    states = {execution.state for execution in executions}
    return next((state for state in _BUSY if state in states), None)


def _show(one: JobStatus) -> None:
    job, statistics = one.job, one.job.statistics
    fields = [
        ("Job", job.name),
        ("Type", "standalone" if job.is_standalone else "workspace"),
    ]
    if not job.is_standalone:
        fields.append(("Workspace", job.workspace))
    fields += [
        ("Status", one.state.value),
        ("Enabled", enabled_text(job)),
        *pause_fields(job),
        ("Schedule", all_rules(job) or "-"),
        ("Run Count", str(statistics.run_count)),
        ("Success Count", str(statistics.success_count)),
        ("Failure Count", str(statistics.failure_count)),
        ("Last Run", clock_text(statistics.last_run_at, "Never")),
        ("Last Success", clock_text(statistics.last_success_at, "Never")),
        ("Last Failure", clock_text(statistics.last_failure_at, "Never")),
        ("Last Error", statistics.last_error or "-"),
        ("Next Run", clock_text(job.next_run_at, "Never")),
    ]
    print_fields(fields)


def _columns(now: datetime) -> list[Column[JobStatus]]:
    def moment(instant: datetime | None) -> str:
        return relative_text(instant, now, "Never")

    def clock(instant: datetime | None) -> str:
        return clock_text(instant, "Never")

    return [
        Column("JOB", lambda one: one.job.name),
        Column("WORKSPACE", lambda one: one.job.workspace),
        Column("STATUS", lambda one: one.state.value),
        Column("ENABLED", lambda one: enabled_text(one.job)),
        Column("RUNS", lambda one: str(one.job.statistics.run_count)),
        Column("SUCCEEDED", lambda one: str(one.job.statistics.success_count)),
        Column("FAILED", lambda one: str(one.job.statistics.failure_count)),
        Column(
            "LAST RUN",
            lambda one: moment(one.job.statistics.last_run_at),
            wide=lambda one: clock(one.job.statistics.last_run_at),
        ),
        Column(
            "NEXT RUN",
            lambda one: moment(one.job.next_run_at),
            wide=lambda one: clock(one.job.next_run_at),
        ),
        Column("LAST ERROR", lambda one: one.job.statistics.last_error),
    ]
