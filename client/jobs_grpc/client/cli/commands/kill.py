"""`kill`: end a run, or every run of a job, with its whole process tree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import click

from jobs_grpc.client._errors import NotFound, NotRunning
from jobs_grpc.client.cli.display.following import ending_text
from jobs_grpc.client.cli.display.printing import print_records
from jobs_grpc.client.cli.display.table import Column
from jobs_grpc.client.cli.naming import could_be_id
from jobs_grpc.client.cli.options import Command, Settings, pass_settings
from jobs_grpc.client.cli.session import converse
from jobs_grpc.client.records.execution import Execution

if TYPE_CHECKING:
    from jobs_grpc.client._client import Client


@click.command(cls=Command)
@click.argument("subject", metavar="JOB|EXECUTION")
@click.option("--no-wait", is_flag=True, help="Do not wait for the end.")
@pass_settings
def kill(settings: Settings, subject: str, no_wait: bool) -> None:
    """End a run, or every run of a job: the whole process tree.

    What waits is ended at once. What runs is sent its stop signal, then KILL after the
    job's grace; this waits for the end and prints the final state. Nothing running is
    an error, with exit code 5.
    """
    kill_subject(settings, subject, wait=not no_wait, is_id=False)


def kill_subject(settings: Settings, subject: str, *, wait: bool, is_id: bool) -> None:
    """Cancel and report."""

    async def work(client: Client) -> list[Execution]:
        if is_id:
            ids = [await client.executions.cancel(subject)]
        else:
            ids = await _cancel(client, subject)
        if wait:
            return [await client.executions.wait(one) for one in ids]
        return [await client.executions.get(one) for one in ids]

    killed = converse(settings, work, job="" if is_id else subject)
    print_records(settings, killed, _COLUMNS, name=lambda one: one.id)


async def _cancel(client: Client, subject: str) -> list[str]:
    try:
        return list(await client.executions.cancel_job(subject))
    except (NotFound, NotRunning):
        if not could_be_id(subject):
            raise
        # A word that could be an id and names no job that runs.
        try:
            return [await client.executions.cancel(subject)]
        except NotFound:
            pass
        raise


def _ending(one: Execution) -> str:
    return one.error or ending_text(one)


_COLUMNS: Final[Sequence[Column[Execution]]] = [
    Column("EXECUTION", lambda one: one.id[:8], wide=lambda one: one.id),
    Column("JOB", lambda one: one.job),
    Column("STATE", lambda one: one.state.value),
    Column("RESULT", _ending),
]
