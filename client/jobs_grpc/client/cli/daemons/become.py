"""`server` and `worker`: become the daemon. `simulate`: become what has the core.

The daemons are programs of their own (`python -m jobs_grpc.controlplane`), which this one
turns into by `exec`: the CLI never imports a server. They read their own arguments, and
print their own help.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Final, NoReturn

import click

from jobs_grpc.client.cli.commands.fleet import list_workers
from jobs_grpc.client.cli.commands.worker import cordon, drain, get, label, uncordon
from jobs_grpc.client.cli.failures import Failure
from jobs_grpc.client.cli.lazy import fail_unknown
from jobs_grpc.client.cli.options import resolved

SERVER: Final = "jobs_grpc.controlplane"
WORKER: Final = "jobs_grpc.worker"
# What each extra brings, by the names that are imported.
_NEEDS: Final = {
    "server": ("aiosqlite", "grpc_health", "uvloop", "opentelemetry"),
    "worker": ("uvloop",),
    # The core needs nothing that the command line does not have.
    "simulation": (),
}
_HELP: Final = frozenset({"-h", "--help"})
_PASS_ON: Final[dict[str, Any]] = {
    "ignore_unknown_options": True,
    "allow_extra_args": True,
    "allow_interspersed_args": False,
    "help_option_names": [],
}


@click.command(context_settings=_PASS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def server(ctx: click.Context, arguments: tuple[str, ...]) -> None:
    """Start a server."""
    become("server", SERVER, [*_said_before(ctx), *arguments])


@click.command(context_settings=_PASS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def simulate(ctx: click.Context, arguments: tuple[str, ...]) -> None:
    """Run job files on virtual time: timeline, collisions, waits, a picture."""
    said = resolved(ctx, os.environ)
    shared = ["--namespace", said.namespace, "--output", said.output]
    if said.workspace:
        shared += ["--workspace", said.workspace]
    # What is said after the command wins: the last one counts.
    become("simulation", SERVER, ["simulate", *shared, *arguments])


class WorkerGroup(click.Group):
    """`worker list` and its like are commands of ours; else the daemon is meant."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        first = args[0] if args else ""
        if first not in self.commands and not ctx.resilient_parsing:
            if first and not first.startswith("-"):
                # The daemon has only options: a word is a command, if a wrong one.
                fail_unknown(ctx, first, self.commands)
            if not _HELP.isdisjoint(args):
                self._say_commands(ctx)
            become("worker", WORKER, [*_said_before(ctx), *args])
        return super().parse_args(ctx, args)

    def _say_commands(self, ctx: click.Context) -> None:
        """Say what the daemon's own help, which follows, knows nothing of."""
        formatter = ctx.make_formatter()
        self.format_commands(ctx, formatter)
        click.echo(f"{formatter.getvalue()}\nWithout a command it starts a worker:\n")


@click.group(cls=WorkerGroup, context_settings=_PASS_ON)
def worker() -> None:
    """Start a worker; `worker list` shows those that are there."""


for command in (list_workers, get, cordon, uncordon, drain, label):
    # Only the group leaves help to the daemon; its commands would inherit that.
    command.context_settings["help_option_names"] = sorted(_HELP)
    worker.add_command(command)


def become(program: str, module: str, arguments: Sequence[str]) -> NoReturn:
    """Turn this process into a daemon."""
    check_extra(program, module)
    sys.stdout.flush()
    sys.stderr.flush()
    # No shell: the arguments are the user's.
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606


def check_extra(program: str, module: str) -> None:
    """Say in one line what to install, if something is missing."""
    needs = (module, *_NEEDS[program])
    if any(_is_missing(name) for name in needs):
        extra = "server" if module == SERVER else "worker"
        raise Failure(
            f'the {program} needs the extra "{extra}": '
            f"pip install 'jobs-grpc[{extra}]'"
        )


def _is_missing(name: str) -> bool:
    return find_spec(name) is None


def _said_before(ctx: click.Context) -> list[str]:
    """Return the shared options that stood before the command and that daemons know."""
    addr = resolved(ctx, os.environ).said.get("addr")
    return ["--addr", addr] if addr else []
