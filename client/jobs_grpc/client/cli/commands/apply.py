"""`apply`: make the server's jobs what the files say.

Everything is checked before anything changes: all files here, then all documents by the
server. Only then are they applied.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from jobs_grpc.client.cli.display.printing import note, print_document
from jobs_grpc.client.cli.display.table import colored_state
from jobs_grpc.client.cli.exits import Exit
from jobs_grpc.client.cli.failures import as_invalid_files
from jobs_grpc.client.cli.options import Command, Settings, file_options, pass_settings
from jobs_grpc.client.cli.session import converse
from jobs_grpc.client.records.job import Applied

if TYPE_CHECKING:
    from jobs_grpc.client._client import Client


@click.command(cls=Command)
@file_options
@click.option("--dry-run", is_flag=True, help="Say what would change, change nothing.")
@click.option(
    "--plan",
    "shows_plan",
    is_flag=True,
    help="Show keys, due times, collisions and workers, as diff does; change nothing.",
)
@pass_settings
def apply(
    settings: Settings,
    paths: tuple[str, ...],
    stdin_format: str | None,
    dry_run: bool,
    shows_plan: bool,
) -> int:
    """Create or update jobs from files; those that are the same are left alone.

    Either all files are valid, or nothing is changed and the exit code is 7.
    """
    if shows_plan:
        from jobs_grpc.client.cli.commands.diff import compare

        return compare(settings, paths, stdin_format)
    from jobs_grpc.client.cli.sources import NOTHING_CHANGED, load_sources

    loaded = load_sources(settings, paths, stdin_format)
    documents = [one.document for one in loaded]
    origins = [one.origin for one in loaded]

    async def work(client: Client) -> tuple[Applied, ...]:
        return await client.jobs.apply(
            documents, origins=origins, validate_only=dry_run
        )

    with as_invalid_files(NOTHING_CHANGED):
        results = converse(settings, work)
    _print(settings, results, dry_run=dry_run)
    return Exit.DONE


def _print(settings: Settings, results: tuple[Applied, ...], *, dry_run: bool) -> None:
    if settings.is_data:
        data = [result.to_json() for result in results]
        print_document(settings, {"data": data, "next_page_token": None})
    else:
        for result in results:
            path = f"{result.namespace}/{result.workspace}/{result.name}"
            word = f"{colored_state(result.outcome)}{' ' * (12 - len(result.outcome))}"
            click.echo(path if settings.output == "name" else word + path)
    counts = Counter(result.outcome.value for result in results)
    summary = ", ".join(f"{count} {word}" for word, count in counts.items())
    note(f"{summary}{' (dry run: nothing was changed)' if dry_run else ''}")
