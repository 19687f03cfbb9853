"""`dead-letter`: runs that failed for good."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from jobs_grpc.client.cli.commands.job import ask
from jobs_grpc.client.cli.display.moments import clock_text, relative_text
from jobs_grpc.client.cli.display.printing import (
    print_done,
    print_fields,
    print_page,
    print_record,
    print_records,
)
from jobs_grpc.client.cli.display.table import Column
from jobs_grpc.client.cli.options import (
    Group,
    Seconds,
    Settings,
    page_options,
    pass_settings,
)
from jobs_grpc.client.cli.session import converse
from jobs_grpc.client.records.page import Page
from jobs_grpc.client.records.story import DeadLetter, Requeued

if TYPE_CHECKING:
    from jobs_grpc.client._client import Client


@click.group("dead-letter", cls=Group)
def dead_letter() -> None:
    """Look after runs that failed for good.

    A run is put here after its last failure, if its job has retries. It is a mark on the
    run: its record, attempts and output are where they always are.
    """


@dead_letter.command("list")
@click.option("--job", default="", metavar="NAME", help="Only runs of this job.")
@page_options()
@pass_settings
def list_letters(settings: Settings, job: str, limit: int, page_token: str) -> None:
    """List dead letters, those of the newest runs first."""

    async def work(client: Client) -> Page[DeadLetter]:
        return await client.dead_letters.list_page(
            job=job, page_size=limit, page_token=page_token
        )

    page = converse(settings, work)
    print_page(
        settings,
        page,
        _columns(datetime.now(UTC)),
        name=lambda one: one.execution_id,
        empty="there are no dead letters",
    )


@dead_letter.command()
@click.argument("execution_id", metavar="EXECUTION")
@pass_settings
def show(settings: Settings, execution_id: str) -> None:
    """Show one dead letter."""

    async def work(client: Client) -> DeadLetter:
        return await client.dead_letters.get(execution_id)

    found = converse(settings, work)
    print_record(
        settings,
        found,
        name=found.execution_id,
        show=lambda: print_fields(
            [
                ("Execution", found.execution_id),
                ("Job", found.job),
                ("Workspace", found.workspace),
                ("State", found.state.value),
                ("Failed", clock_text(found.failed_at)),
                ("Attempts", str(found.attempts)),
                ("Reason", found.reason),
                ("Error", found.error or "-"),
            ]
        ),
    )


@dead_letter.command()
@click.argument("execution_ids", metavar="[EXECUTION]...", nargs=-1)
@click.option("--job", default="", metavar="NAME", help="All of this job.")
@click.option("--all", "every", is_flag=True, help="All there are.")
@pass_settings
def requeue(
    settings: Settings, execution_ids: tuple[str, ...], job: str, every: bool
) -> None:
    """Run dead letters again, each as a new run of the job as it is now."""
    _check(execution_ids, job=job, other=every)

    async def work(client: Client) -> tuple[Requeued, ...]:
        return await client.dead_letters.requeue(execution_ids, every=every, job=job)

    print_records(
        settings,
        converse(settings, work),
        [
            Column("DEAD LETTER", lambda one: one.origin_id),
            Column("EXECUTION", lambda one: one.execution_id),
        ],
        name=lambda one: one.execution_id,
        empty="there are no such dead letters",
    )


@dead_letter.command()
@click.argument("execution_ids", metavar="[EXECUTION]...", nargs=-1)
@click.option("--job", default="", metavar="NAME", help="All of this job.")
@click.option(
    "--older-than",
    type=Seconds(),
    help="What failed longer ago than this, such as 30d.",
)
@click.option("--all", "every", is_flag=True, help="All there are.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@pass_settings
def purge(
    settings: Settings,
    execution_ids: tuple[str, ...],
    job: str,
    older_than: float | None,
    every: bool,
    yes: bool,
) -> None:
    """Put dead letters aside. Their runs stay in the history."""
    _check(execution_ids, job=job, other=every or older_than is not None)
    if not yes:
        ask("put these dead letters aside?")
    before = None
    if older_than is not None:
        before = datetime.now(UTC) - timedelta(seconds=older_than)

    async def work(client: Client) -> int:
        return await client.dead_letters.purge(
            execution_ids, every=every, job=job, failed_before=before
        )

    purged = converse(settings, work)
    letters = f"{purged} dead letter{'s' if purged != 1 else ''}"
    print_done(settings, {"purged": purged}, text=f"{letters} put aside")


def _check(execution_ids: tuple[str, ...], *, job: str, other: bool) -> None:
    if execution_ids and (job or other):
        raise click.UsageError("give ids, or say which others, not both")
    if not (execution_ids or job or other):
        raise click.UsageError("which ones? give ids, --job NAME, or --all")


def _columns(now: datetime) -> list[Column[DeadLetter]]:
    return [
        Column(
            "EXECUTION",
            lambda one: one.execution_id[:8],
            wide=lambda one: one.execution_id,
        ),
        Column("JOB", lambda one: one.job),
        Column("WORKSPACE", lambda one: one.workspace, only_wide=True),
        Column("STATE", lambda one: one.state.value),
        Column("ATTEMPTS", lambda one: str(one.attempts)),
        Column(
            "FAILED",
            lambda one: relative_text(one.failed_at, now),
            wide=lambda one: clock_text(one.failed_at),
        ),
        Column("REASON", lambda one: one.reason),
        Column("ERROR", lambda one: one.error),
    ]
