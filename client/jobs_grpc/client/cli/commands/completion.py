"""`completion`: what a shell needs to complete our words."""

from __future__ import annotations

import click

from jobs_grpc.client.cli.options import Command


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash:  source <(jobs-grpc completion bash)
    zsh:   source <(jobs-grpc completion zsh)
    fish:  jobs-grpc completion fish | source
    """
    from click.shell_completion import get_completion_class

    from jobs_grpc.client.cli.main import cli

    kind = get_completion_class(shell)
    assert kind is not None, f"click completes {shell}"
    click.echo(kind(cli, {}, "jobs-grpc", "_JOBS_GRPC_COMPLETE").source())
