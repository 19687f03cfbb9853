"""`run`: a stored job, or a command line after `--`."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from jobs_grpc.client.cli import exits
from jobs_grpc.client.cli.display.following import (
    OutputPrinter,
    ending_text,
    say_how_to_resume,
)
from jobs_grpc.client.cli.display.printing import note, print_record
from jobs_grpc.client.cli.display.table import colored_state
from jobs_grpc.client.cli.exits import Exit
from jobs_grpc.client.cli.instants import instant
from jobs_grpc.client.cli.options import Command, Settings, pass_settings
from jobs_grpc.client.cli.pairs import pairs, params
from jobs_grpc.client.cli.session import converse
from jobs_grpc.client.records.execution import Execution

if TYPE_CHECKING:
    from jobs_grpc.client._client import Client
    from jobs_grpc.client._executions import ExecutionHandle
    from jobs_grpc.client._submission import Submission

_ADHOC_ONLY = ("function", "limit", "environment", "queue", "priority")


class RunCommand(Command):
    """Keeps what follows `--` apart: it is a command line, not ours to read."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            index = args.index("--")
            args, ctx.meta[__name__] = args[:index], tuple(args[index + 1 :])
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return ["[OPTIONS]", "JOB | -- COMMAND..."]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What to wait for, and how to say it."""

    wait: bool
    follow: bool
    pass_through: bool


@click.command(cls=RunCommand)
@click.argument("job", required=False)
@click.option(
    "-p",
    "--param",
    "params",
    multiple=True,
    metavar="KEY=VALUE",
    help="A parameter of the job; KEY:=JSON for a value that is not text.",
)
@click.option("--wait", is_flag=True, help="Wait for the end; see the exit codes.")
@click.option(
    "-f", "--follow", is_flag=True, help="Print output as it comes, then wait."
)
@click.option(
    "--exit-status",
    "pass_through",
    is_flag=True,
    help="Exit with the job's own code where it failed, instead of 20.",
)
@click.option("--at", metavar="TIME", help="Start no earlier than this, RFC 3339.")
@click.option(
    "--request-id",
    default="",
    metavar="ID",
    help="Repeated with the same id, the first execution is returned.",
)
@click.option("--function", metavar="NAME", help="Run a function that workers know.")
@click.option("--timeout", "limit", metavar="DURATION", help="Of an ad hoc run.")
@click.option(
    "-e",
    "--env",
    "environment",
    multiple=True,
    metavar="KEY=VALUE",
    help="A variable of an ad hoc run.",
)
@click.option("--queue", metavar="NAME", help="The queue of an ad hoc run.")
@click.option(
    "--priority", type=click.IntRange(1, 5), help="Of an ad hoc run; 1 is highest."
)
@click.pass_context
def run(ctx: click.Context, /, job: str | None, **options: Any) -> int:
    """Run a stored job, a function, or a command line after --.

    Prints the execution's id, and goes on at once unless --wait or --follow says
    otherwise. Then the exit code is 0 if it succeeded, 20 if it failed, 21 if it timed
    out, 22 if it was cancelled, 23 if it was lost.
    """
    command = ctx.meta.get(__name__, ())
    _check_subject(job, command, options)
    return _run(job, command, options)


@pass_settings
def _run(
    settings: Settings, job: str | None, command: Sequence[str], options: dict[str, Any]
) -> int:
    submission = _submission(job, command, options)
    wish = Wish(
        wait=options["wait"] or options["pass_through"],
        follow=options["follow"],
        pass_through=options["pass_through"],
    )

    async def work(client: Client) -> int:
        handle = await client.run(submission)
        if wish.follow:
            return await _follow(handle, wish)
        if wish.wait:
            return await _wait(settings, handle, wish)
        await _print_id(settings, client, handle)
        return Exit.DONE

    return converse(settings, work, job=job or "")


async def _follow(handle: ExecutionHandle, wish: Wish) -> int:
    note(f"execution {handle.id}")
    printer = OutputPrinter()
    try:
        async with aclosing(handle.output()) as events:
            end = await printer.print(events)
    except asyncio.CancelledError:
        resume = f"logs -f {handle.id[:8]} --from {printer.next_offset}"
        say_how_to_resume(handle.id, resume)
        raise
    assert end is not None, "output ends with its end"
    note(ending_text(end.execution))
    return exits.of_execution(end.execution, pass_through=wish.pass_through)


async def _wait(settings: Settings, handle: ExecutionHandle, wish: Wish) -> int:
    try:
        execution = await handle.wait()
    except asyncio.CancelledError:
        say_how_to_resume(handle.id, f"execution wait {handle.id[:8]}")
        raise
    print_ending(settings, execution)
    return exits.of_execution(execution, pass_through=wish.pass_through)


async def _print_id(
    settings: Settings, client: Client, handle: ExecutionHandle
) -> None:
    if settings.is_data:
        execution = await client.executions.get(handle.id)
        print_record(settings, execution, name=handle.id, show=lambda: None)
        return
    click.echo(handle.id)
    if settings.output != "name":
        note(f"follow it with: jobs-grpc logs -f {handle.id[:8]}")


def print_ending(settings: Settings, execution: Execution) -> None:
    """Print an ended execution: its state first, for people and for `read`."""

    def show() -> None:
        text = ending_text(execution).removeprefix(execution.state)
        click.echo(
            f"{colored_state(execution.state)}   {execution.id[:8]}  {text}".rstrip()
        )

    print_record(settings, execution, name=execution.id, show=show)


def _check_subject(
    job: str | None, command: Sequence[str], options: dict[str, Any]
) -> None:
    function = options["function"]
    given = [one for one in (job, command, function) if one]
    if len(given) != 1:
        raise click.UsageError(
            "name one thing to run: a JOB, --function NAME, or a command after --",
            click.get_current_context(),
        )
    if job is None:
        if options["params"] and not function:
            raise click.UsageError("a command has no parameters; use --env KEY=VALUE")
        return
    for name in _ADHOC_ONLY:
        if options[name]:
            flag = {"limit": "timeout", "environment": "env"}.get(name, name)
            raise click.UsageError(
                f"--{flag} is for ad hoc runs; a stored job has its own"
            )


def _submission(
    job: str | None, command: Sequence[str], options: dict[str, Any]
) -> Submission:
    from jobs_grpc.client._submission import Submission

    timing: dict[str, Any] = {
        "not_before": instant(options["at"], "--at"),
        "request_id": options["request_id"],
    }
    given = params(options["params"])
    if job is not None:
        return Submission.stored(job, params=given, **timing)
    keys: dict[str, Any] = {
        "timeout": options["limit"],
        "environment": pairs(options["environment"], "--env"),
        "queue": options["queue"],
        "priority": options["priority"],
    }
    keys = {key: value for key, value in keys.items() if value}
    name = f"adhoc-{secrets.token_hex(4)}"
    if options["function"]:
        function = options["function"]
        return Submission.function(function, given, name=name, **timing, **keys)
    return Submission.command(command, name=name, **timing, **keys)
