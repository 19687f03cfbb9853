"""`queue status` and `worker list`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import click

from jobs_grpc.client.cli.display.moments import clock_text, relative_text
from jobs_grpc.client.cli.display.printing import print_records
from jobs_grpc.client.cli.display.table import Column
from jobs_grpc.client.cli.options import Command, Group, Settings, pass_settings
from jobs_grpc.client.cli.session import converse
from jobs_grpc.client.records.fleet import Queue, QueueStatus, Worker

if TYPE_CHECKING:
    from jobs_grpc.client._client import Client


@click.group(cls=Group)
def queue() -> None:
    """Show the waiting lines."""


@queue.command("status")
@pass_settings
def queue_status(settings: Settings) -> None:
    """Show every queue, and how busy the workers are."""

    async def work(client: Client) -> QueueStatus:
        return await client.queues.status()

    status = converse(settings, work)
    print_records(
        settings,
        status.queues,
        _QUEUE_COLUMNS,
        name=lambda one: one.name,
        envelope=status.to_json(),
    )
    if settings.is_table:
        click.echo(
            f"workers: {status.workers_total} ({status.workers_active} active, "
            f"{status.workers_idle} idle); "
            f"slots: {status.slots_used} of {status.slots_total} used"
        )


@click.command("list", cls=Command)
@pass_settings
def list_workers(settings: Settings) -> None:
    """List the registered workers."""

    async def work(client: Client) -> tuple[Worker, ...]:
        return await client.workers.list()

    print_records(
        settings,
        converse(settings, work),
        _worker_columns(datetime.now(UTC)),
        name=lambda one: one.name,
        empty="there are no workers; start one with: jobs-grpc worker",
    )


_QUEUE_COLUMNS: Final[Sequence[Column[Queue]]] = [
    Column("QUEUE", lambda one: one.name),
    Column("WEIGHT", lambda one: str(one.weight)),
    Column("PENDING", lambda one: str(one.pending)),
    Column("ACTIVE", lambda one: str(one.active)),
    Column("SCHEDULED", lambda one: str(one.scheduled)),
    Column("COMPLETED", lambda one: str(one.completed)),
    Column("FAILED", lambda one: str(one.failed)),
]


def _worker_columns(now: datetime) -> list[Column[Worker]]:
    return [
        Column("NAME", lambda one: one.name),
        Column("ID", lambda one: one.id, only_wide=True),
        Column("STATE", lambda one: one.state.value),
        Column("SLOTS", lambda one: f"{one.slots_used}/{one.slots}"),
        Column(
            "LAST HEARTBEAT",
            lambda one: relative_text(one.last_heartbeat_at, now),
            wide=lambda one: clock_text(one.last_heartbeat_at),
        ),
        Column("VERSION", lambda one: one.version),
        Column("LABELS", _labels),
        # Before the functions, of which there may be many: the last column is cut.
        Column("NO WORK", lambda one: one.no_work_reason or one.cordon_reason),
        Column("FUNCTIONS", lambda one: ", ".join(one.functions)),
    ]


def _labels(one: Worker) -> str:
    pairs = one.labels.items()
    return ",".join(f"{key}={value}" if value else key for key, value in pairs)
