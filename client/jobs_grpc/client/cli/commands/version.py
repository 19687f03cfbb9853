"""`version`: ours, and the server's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from jobs_grpc.client._version import VERSION
from jobs_grpc.client.cli.display.printing import print_document
from jobs_grpc.client.cli.options import Command, Settings, pass_settings

if TYPE_CHECKING:
    from jobs_grpc.client._client import Client
    from jobs_grpc.client.records.server import ServerInfo


@click.command(cls=Command)
@click.option(
    "--server", "ask_server", is_flag=True, help="Ask the server for its own."
)
@pass_settings
def version(settings: Settings, ask_server: bool) -> None:
    """Print the version of this program, and of the server."""
    info = _ask(settings) if ask_server else None
    if settings.is_data:
        answer = info.to_json() if info else None
        print_document(settings, {"client": VERSION, "server": answer})
        return
    click.echo(f"jobs-grpc {VERSION}")
    if info is not None:
        click.echo(f"server {info.version} (term {info.term}, {info.store})")


def _ask(settings: Settings) -> ServerInfo:
    from jobs_grpc.client.cli.session import converse

    async def work(client: Client) -> ServerInfo:
        return await client.info()

    return converse(settings, work)
