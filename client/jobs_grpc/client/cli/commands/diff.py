"""`diff`, and `apply --plan`: what applying files would change."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from jobs_grpc.client.cli.display.plan import show_plan
from jobs_grpc.client.cli.display.printing import note, print_document
from jobs_grpc.client.cli.exits import Exit
from jobs_grpc.client.cli.failures import as_invalid_files
from jobs_grpc.client.cli.options import Command, Settings, file_options, pass_settings
from jobs_grpc.client.cli.session import converse
from jobs_grpc.client.records.plan import Plan

if TYPE_CHECKING:
    from jobs_grpc.client._client import Client


@click.command(cls=Command)
@file_options
@click.option(
    "--count",
    type=click.IntRange(1, 200),
    default=20,
    show_default=True,
    help="How many of the next due times of each job are compared.",
)
@pass_settings
def diff(
    settings: Settings, paths: tuple[str, ...], stdin_format: str | None, count: int
) -> int:
    """Show what applying files would change: keys, due times, collisions, workers.

    Nothing is changed. Exit code 0 if nothing would be, 8 if something would.
    """
    return compare(settings, paths, stdin_format, count)


def compare(
    settings: Settings,
    paths: tuple[str, ...],
    stdin_format: str | None,
    count: int = 20,
) -> int:
    """Print the plan of files; return the exit code."""
    from jobs_grpc.client.cli.sources import NOTHING_CHANGED, load_sources

    loaded = load_sources(settings, paths, stdin_format)
    documents = [one.document for one in loaded]
    origins = [one.origin for one in loaded]

    async def work(client: Client) -> Plan:
        return await client.jobs.plan(documents, origins=origins, count=count)

    with as_invalid_files(NOTHING_CHANGED):
        plan = converse(settings, work)
    if settings.is_data:
        print_document(settings, plan.to_json())
    elif settings.output == "name":
        for job in plan.jobs:
            if job.changes_something:
                click.echo(f"{job.namespace}/{job.workspace}/{job.name}")
    else:
        show_plan(plan, wide=settings.output == "wide")
    counts = Counter(job.outcome.value for job in plan.jobs)
    summary = ", ".join(f"{count} {word}" for word, count in counts.items())
    note(f"{summary} (nothing was changed)")
    return Exit.WOULD_CHANGE if plan.changes_something else Exit.DONE
