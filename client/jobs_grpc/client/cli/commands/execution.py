"""`execution`: runs."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from jobs_grpc.client.cli import exits
from jobs_grpc.client.cli.commands.kill import kill_subject
from jobs_grpc.client.cli.commands.run import print_ending
from jobs_grpc.client.cli.display.following import say_how_to_resume, size_text
from jobs_grpc.client.cli.display.moments import (
    clock_text,
    duration_text,
    relative_text,
)
from jobs_grpc.client.cli.display.printing import (
    print_done,
    print_fields,
    print_page,
    print_record,
)
from jobs_grpc.client.cli.display.table import Column, print_table
from jobs_grpc.client.cli.options import (
    Group,
    Seconds,
    Settings,
    page_options,
    pass_settings,
)
from jobs_grpc.client.cli.session import converse
from jobs_grpc.client.records.execution import (
    Attempt,
    Execution,
    ExecutionState,
    KillReceipt,
)
from jobs_grpc.client.records.explanation import Explanation
from jobs_grpc.client.records.page import Page
from jobs_grpc.client.records.story import Trace

if TYPE_CHECKING:
    from jobs_grpc.client._client import Client


@click.group(cls=Group)
def execution() -> None:
    """Look after runs (short: ex).

    Ids work by any unique prefix of 4 characters or more.
    """


@execution.command("list")
@click.option("--job", default="", metavar="NAME", help="Only runs of this job.")
@click.option(
    "--state",
    "states",
    multiple=True,
    metavar="STATE",
    help="Only runs in this state; may be repeated.",
)
@page_options()
@pass_settings
def list_executions(
    settings: Settings, job: str, states: tuple[str, ...], limit: int, page_token: str
) -> None:
    """List runs, newest first."""
    wanted = [state for text in states for state in _states(text)]

    async def work(client: Client) -> Page[Execution]:
        return await client.executions.list_page(
            job=job, states=wanted, page_size=limit, page_token=page_token
        )

    page = converse(settings, work, job=job)
    print_page(
        settings,
        page,
        _columns(datetime.now(UTC)),
        name=lambda one: one.id,
        empty="there are no such executions",
    )


@execution.command()
@click.argument("execution_id", metavar="EXECUTION")
@pass_settings
def get(settings: Settings, execution_id: str) -> None:
    """Show one run."""

    async def work(client: Client) -> Execution:
        return await client.executions.get(execution_id)

    found = converse(settings, work)
    print_record(settings, found, name=found.id, show=lambda: _show(found))


@execution.command()
@click.argument("execution_id", metavar="EXECUTION")
@pass_settings
def explain(settings: Settings, execution_id: str) -> None:
    """Say why a run is where it is: what it waits for, and who holds that."""

    async def work(client: Client) -> Explanation:
        return await client.executions.explain(execution_id)

    found = converse(settings, work)
    print_record(
        settings,
        found,
        name=found.execution_id,
        show=lambda: print_fields(
            [
                ("Execution", found.execution_id),
                ("State", found.state.value),
                ("Why", found.summary),
                *_holder_fields(found),
            ]
        ),
    )


def _holder_fields(found: Explanation) -> list[tuple[str, str]]:
    # Each reason has its own; an execution may be in the way for several.
    holders = dict.fromkeys(one for reason in found.reasons for one in reason.holders)
    return [("Held By", ", ".join(one[:8] for one in holders))] if holders else []


@execution.command()
@click.argument("execution_id", metavar="EXECUTION")
@pass_settings
def trace(settings: Settings, execution_id: str) -> None:
    """Tell the whole story of a run: why it began, waited, was tried again and ended."""

    async def work(client: Client) -> Trace:
        return await client.executions.trace(execution_id)

    found = converse(settings, work)
    print_record(settings, found, name=found.execution_id, show=lambda: _tell(found))


@execution.command()
@click.argument("execution_id", metavar="EXECUTION")
@pass_settings
def retry(settings: Settings, execution_id: str) -> None:
    """Run again what failed, was cancelled or lost, as a new run; print its id.

    It is a run of the job as it is defined now, with the parameters of the old one.
    """

    async def work(client: Client) -> str:
        return await client.executions.retry(execution_id)

    made = converse(settings, work)
    print_done(settings, {"execution_id": made}, name=made, text=made)


@execution.command()
@click.argument("execution_id", metavar="EXECUTION")
@click.option("--no-wait", is_flag=True, help="Do not wait for the end.")
@pass_settings
def cancel(settings: Settings, execution_id: str, no_wait: bool) -> None:
    """End one run with its whole process tree."""
    kill_subject(settings, execution_id, wait=not no_wait, is_id=True)


@execution.command()
@click.argument("execution_id", metavar="EXECUTION")
@click.option(
    "--timeout",
    "patience",
    type=Seconds(),
    help="Give up after this long (exit code 6).",
)
@click.option(
    "--exit-status",
    "pass_through",
    is_flag=True,
    help="Exit with the job's own code where it failed, instead of 20.",
)
@pass_settings
def wait(
    settings: Settings, execution_id: str, patience: float | None, pass_through: bool
) -> int:
    """Wait for the end of a run; the exit code says how it ended.

    0 succeeded, 20 failed, 21 timed out, 22 cancelled, 23 lost.
    """

    async def work(client: Client) -> Execution:
        found = await client.executions.get(execution_id)
        try:
            return await client.executions.wait(found.id, timeout=patience)
        except asyncio.CancelledError:
            say_how_to_resume(found.id, f"execution wait {found.id[:8]}")
            raise

    ended = converse(settings, work)
    print_ending(settings, ended)
    return exits.of_execution(ended, pass_through=pass_through)


def _states(text: str) -> list[ExecutionState]:
    """Return the states a person means, in any of the words for them."""
    from jobs_grpc.wire.states import STATE_WORDS, state_from_word

    try:
        return [
            ExecutionState(STATE_WORDS[state_from_word(word)])
            for word in text.split(",")
        ]
    except ValueError as error:
        raise click.UsageError(f"--state: {error}") from None


def _columns(now: datetime) -> list[Column[Execution]]:
    return [
        Column("ID", lambda one: one.id[:8], wide=lambda one: one.id),
        Column("JOB", lambda one: one.job),
        Column("WORKSPACE", lambda one: one.workspace, only_wide=True),
        Column("STATE", lambda one: one.state.value),
        Column("TRIGGER", lambda one: one.trigger.value),
        Column("QUEUE", lambda one: one.queue, only_wide=True),
        Column("ATTEMPT", lambda one: str(one.attempt), only_wide=True),
        Column(
            "CREATED",
            lambda one: relative_text(one.created_at, now),
            wide=lambda one: clock_text(one.created_at),
        ),
        Column("DURATION", lambda one: duration_text(one.duration)),
        Column("EXIT", _exit),
        Column("WORKER", lambda one: one.worker),
        Column("ERROR", lambda one: one.error),
    ]


def _exit(one: Execution | Attempt) -> str:
    return one.signal or ("" if one.exit_code is None else str(one.exit_code))


def _show(one: Execution) -> None:
    fields = [
        ("Execution", one.id),
        ("Job", one.job),
        ("Namespace", one.namespace),
        ("Workspace", one.workspace),
        ("State", one.state.value),
        ("Trigger", one.trigger.value),
        ("Requested By", one.requested_by or "-"),
        ("Queue", f"{one.queue or '-'} (priority {one.priority})"),
        ("Scheduled For", clock_text(one.scheduled_for)),
        ("Created", clock_text(one.created_at)),
        ("Started", clock_text(one.started_at)),
        ("Finished", clock_text(one.finished_at)),
        ("Duration", duration_text(one.duration)),
        ("Exit Code", "-" if one.exit_code is None else str(one.exit_code)),
        ("Signal", one.signal or "-"),
        ("Error", one.error or "-"),
        ("Worker", one.worker or "-"),
        ("Attempt", str(one.attempt)),
    ]
    if one.params:
        pairs = ", ".join(f"{key}={value}" for key, value in one.params.items())
        fields.append(("Params", pairs))
    if one.usage is not None:
        fields.append(("CPU Time", f"{one.usage.cpu_seconds:.2f}s"))
        fields.append(("Peak Memory", size_text(one.usage.peak_memory_bytes)))
    if one.output_bytes is not None:
        dropped = f" ({size_text(one.output_dropped)} dropped)"
        kept = size_text(one.output_bytes)
        fields.append(("Output", kept + (dropped if one.output_dropped else "")))
    if one.result_json:
        fields.append(("Result", one.result_json))
    fields += _receipt_fields(one.receipt)
    fields += _link_fields(one)
    if one.timed_out_by:
        fields.append(("Timed Out By", one.timed_out_by))
    if one.dead_letter_reason:
        fields.append(("Dead Letter", one.dead_letter_reason))
    print_fields(fields)
    if one.attempts:
        click.echo()
        print_table(_ATTEMPT_COLUMNS, one.attempts, wide=True)


def _link_fields(one: Execution) -> list[tuple[str, str]]:
    fields = []
    for link in one.links:
        if link.execution_id == one.id:
            fields.append((f"{link.kind.title()} Of", link.origin_id))
        else:
            fields.append((link.kind.title(), link.execution_id))
    return fields


_ATTEMPT_COLUMNS = [
    Column[Attempt]("ATTEMPT", lambda one: str(one.attempt)),
    Column[Attempt]("FENCE", lambda one: str(one.fence)),
    Column[Attempt]("WORKER", lambda one: one.worker),
    Column[Attempt]("STARTED", lambda one: clock_text(one.started_at)),
    Column[Attempt]("FINISHED", lambda one: clock_text(one.finished_at)),
    Column[Attempt]("OUTCOME", lambda one: one.outcome or "running"),
    Column[Attempt]("EXIT", _exit),
    Column[Attempt]("ERROR", lambda one: one.error),
]


def _tell(found: Trace) -> None:
    for entry in found.entries:
        when = "-".ljust(23)
        if entry.at is not None:
            milliseconds = entry.at.microsecond // 1000
            when = f"{clock_text(entry.at)}.{milliseconds:03}"
        click.echo(f"{when}  {entry.text}")


def _receipt_fields(receipt: KillReceipt | None) -> list[tuple[str, str]]:
    if receipt is None:
        return []
    steps = [
        f"{step.signal} to {step.processes} at {clock_text(step.sent_at)}"
        for step in receipt.signals
    ]
    survivors = ", ".join(receipt.survivors) or "none"
    fields = [("Signals Sent", "; ".join(steps) or "-"), ("Survivors", survivors)]
    if receipt.output_leaked:
        fields.append(("Output Leaked", "a pipe was still open after the end"))
    return fields
