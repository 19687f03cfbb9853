"""`logs`: what a run wrote."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

import click

from jobs_grpc.client.cli.display.following import (
    OutputPrinter,
    ending_text,
    say_how_to_resume,
)
from jobs_grpc.client.cli.display.printing import note
from jobs_grpc.client.cli.naming import find_execution
from jobs_grpc.client.cli.options import Command, Settings, pass_settings
from jobs_grpc.client.cli.session import converse
from jobs_grpc.client.records.output import OutputEnd, OutputStream

if TYPE_CHECKING:
    from jobs_grpc.client._client import Client


@click.command(cls=Command)
@click.argument("subject", metavar="EXECUTION|JOB")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends.")
@click.option(
    "--stream",
    type=click.Choice(["stdout", "stderr", "system"]),
    help="Only this stream, on standard output.",
)
@click.option(
    "--from",
    "offset",
    type=click.IntRange(min=0),
    default=0,
    metavar="OFFSET",
    help="Begin at this byte, counted over all streams.",
)
@click.option(
    "--attempt", type=click.IntRange(min=1), help="Which try; the latest if left out."
)
@click.option("--timestamps", is_flag=True, help="Put its time before each line.")
@pass_settings
def logs(
    settings: Settings,
    subject: str,
    follow: bool,
    stream: str | None,
    offset: int,
    attempt: int | None,
    timestamps: bool,
) -> None:
    """Print the output of a run, or of the latest run of a job, byte for byte.

    Output of the job to standard error goes to standard error, unless --stream picks
    one. With -f it prints what there is, then what comes, and ends with the run.
    """
    only = OutputStream(stream) if stream else None
    printer = OutputPrinter(only=only, timestamps=timestamps)
    printer.next_offset = offset

    async def work(client: Client) -> OutputEnd | None:
        execution = await find_execution(client, subject)
        events = client.executions.output(
            execution.id,
            follow=follow,
            from_offset=offset,
            streams=[only] if only else None,
            attempt=attempt,
        )
        try:
            async with aclosing(events):
                return await printer.print(events)
        except asyncio.CancelledError:
            resume = f"logs -f {execution.id[:8]} --from {printer.next_offset}"
            say_how_to_resume(execution.id, resume)
            raise

    end = converse(settings, work, job=subject)
    if follow and end is not None:
        note(ending_text(end.execution))
