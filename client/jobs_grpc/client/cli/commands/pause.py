"""`pause` and `resume`: let schedules, or a queue, stand still for a while."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from jobs_grpc.client.cli.display.moments import clock_text
from jobs_grpc.client.cli.display.printing import print_record, print_records
from jobs_grpc.client.cli.display.table import Column
from jobs_grpc.client.cli.instants import instant
from jobs_grpc.client.cli.options import Command, Seconds, Settings, pass_settings
from jobs_grpc.client.cli.session import converse
from jobs_grpc.client.records.pause import (
    Pause,
    PauseKind,
    PauseMeanwhile,
    PauseSubject,
)
from jobs_grpc.wire.channel import MAX_PAGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs_grpc.client._client import Client

_LIST = "list"


def _subject_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what both commands select with."""
    for option in (
        click.option("--all", "everything", is_flag=True, help="Everything there is."),
        click.option("--queue", default="", metavar="NAME", help="A waiting line."),
        click.option(
            "--schedule",
            default="",
            metavar="ID|NAME",
            help="One schedule: its id, or with JOB its name.",
        ),
    ):
        command = option(command)
    return command


@click.command(cls=Command)
@click.argument("job", required=False, default="", metavar="[JOB|list]")
@_subject_options
@click.option("--until", metavar="TIME", help="When it ends by itself, RFC 3339.")
@click.option(
    "--for", "lasting", type=Seconds(), metavar="DURATION", help="How long it lasts."
)
@click.option("--note", default="", metavar="TEXT", help="Why; shown wherever it is.")
@click.option(
    "--meanwhile",
    type=click.Choice(["drop", "latest", "all"]),
    default="drop",
    show_default=True,
    help="What becomes of the due times: skipped, or at the end the latest or all.",
)
@click.option("--ended", is_flag=True, help="With list: also those that have ended.")
@pass_settings
def pause(
    settings: Settings,
    job: str,
    schedule: str,
    queue: str,
    everything: bool,
    until: str | None,
    lasting: float | None,
    note: str,
    meanwhile: str,
    ended: bool,
) -> None:
    """Let schedules start nothing, or a queue lease nothing; `pause list` shows pauses.

    JOB pauses a job. Without it, --workspace or --namespace pause all of theirs. What
    runs goes on, and runs by hand still start.
    """
    if job == _LIST and not (schedule or queue or everything):
        _list(settings, with_ended=ended)
        return
    if ended:
        raise click.UsageError("--ended belongs to `pause list`")
    if until is not None and lasting is not None:
        raise click.UsageError("--until and --for say the same; give one of them")
    subject = _subject(settings, job, schedule, queue, everything=everything)
    end = instant(until, "--until")

    async def work(client: Client) -> Pause:
        return await client.pauses.begin(
            subject,
            note=note,
            until=end,
            lasting=lasting,
            meanwhile=PauseMeanwhile(meanwhile),
        )

    made = converse(settings, work, job=job)
    print_record(settings, made, name=made.id, show=lambda: _say(made))


@click.command(cls=Command)
@click.argument("job", required=False, default="", metavar="[JOB]")
@_subject_options
@click.option("--id", "pause_id", default="", metavar="PAUSE", help="One pause.")
@pass_settings
def resume(
    settings: Settings,
    job: str,
    schedule: str,
    queue: str,
    everything: bool,
    pause_id: str,
) -> None:
    """End the pauses of a job, a schedule, a queue, a workspace, a namespace or of all.

    Only those of exactly this are ended: a job stays paused while its workspace is.
    """
    subject = None
    if not pause_id or job or schedule or queue or everything:
        subject = _subject(settings, job, schedule, queue, everything=everything)
    if pause_id and subject is not None:
        raise click.UsageError("--id names the pause; leave the rest out")

    async def work(client: Client) -> tuple[Pause, ...]:
        return await client.pauses.end(subject, pause_id=pause_id)

    ended = converse(settings, work, job=job)
    if settings.is_table:
        for one in ended:
            click.echo(f"resumed   {one.subject}")
    else:
        print_records(settings, ended, _COLUMNS, name=lambda one: one.id)


def _list(settings: Settings, *, with_ended: bool) -> None:
    async def work(client: Client) -> list[Pause]:
        found: list[Pause] = []
        token = ""
        while True:
            page = await client.pauses.list(
                with_ended=with_ended, page_size=MAX_PAGE, page_token=token
            )
            found += page.data
            token = page.next_page_token
            if not token:
                return found

    print_records(
        settings,
        converse(settings, work),
        [*_COLUMNS, *(_ENDED_COLUMNS if with_ended else ())],
        name=lambda one: one.id,
        empty="nothing is paused",
    )


def _subject(
    settings: Settings, job: str, schedule: str, queue: str, *, everything: bool
) -> PauseSubject:
    """Return what is meant: the narrowest of what was said."""
    if sum(map(bool, (job or schedule, queue, everything))) > 1:
        raise click.UsageError("JOB, --queue and --all are different things; give one")
    if everything:
        return PauseSubject.everything()
    if queue:
        return PauseSubject.of_queue(queue)
    if schedule:
        return PauseSubject.of_schedule(schedule, job=job)
    if job:
        return PauseSubject.of_job(job)
    # Only what was written: a variable of the shell is no wish to pause a workspace.
    if settings.said.get("workspace"):
        return PauseSubject.of_workspace(settings.workspace)
    if settings.said.get("namespace"):
        return PauseSubject.of_namespace(settings.namespace)
    raise click.UsageError(
        "say what is meant: JOB, --schedule, --queue, --workspace, --namespace or --all"
    )


def _say(made: Pause) -> None:
    until = f" until {clock_text(made.until)}" if made.until else ""
    click.echo(f"paused   {made.subject}{until}")
    if made.subject.kind is not PauseKind.QUEUE:
        words = {
            PauseMeanwhile.DROP: "due times are skipped",
            PauseMeanwhile.LATEST: "at its end the latest due time is started",
            PauseMeanwhile.ALL: "at its end every due time is started, in order",
        }
        click.echo(words[made.meanwhile], err=True)


_COLUMNS: Sequence[Column[Pause]] = [
    Column("ID", lambda one: one.id),
    Column("PAUSED", lambda one: str(one.subject)),
    Column("WORKSPACE", lambda one: one.subject.workspace, only_wide=True),
    Column("NAMESPACE", lambda one: one.subject.namespace, only_wide=True),
    Column("SINCE", lambda one: clock_text(one.since)),
    Column("UNTIL", lambda one: clock_text(one.until)),
    Column("MEANWHILE", lambda one: one.meanwhile.value),
    Column("WHO", lambda one: one.who),
    Column("NOTE", lambda one: one.note),
]
_ENDED_COLUMNS: Sequence[Column[Pause]] = [
    Column("ENDED", lambda one: clock_text(one.ended_at)),
    Column("BY", lambda one: one.ended_by),
]
