"""`explain`: what became of any instant, or what will."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from jobs_grpc.client.cli.display.printing import print_record
from jobs_grpc.client.cli.options import Command, Settings, pass_settings
from jobs_grpc.client.cli.session import converse
from jobs_grpc.client.records.decision import DueTimeAnswer

if TYPE_CHECKING:
    from jobs_grpc.client._client import Client


@click.command(cls=Command)
@click.argument("job")
@click.option(
    "--at",
    required=True,
    metavar="TIME",
    help="RFC 3339; without an offset the time of the schedule's own zone.",
)
@pass_settings
def explain(settings: Settings, job: str, at: str) -> None:
    """Say why a job ran, or did not, at some time, or whether it will.

    TIME is a due time, past or coming, or any other: then the nearest are named.
    """

    async def work(client: Client) -> DueTimeAnswer:
        return await client.schedules.explain(job, at)

    found = converse(settings, work, job=job)
    print_record(
        settings,
        found,
        name=found.kind.value,
        show=lambda: click.echo(found.sentence),
    )
