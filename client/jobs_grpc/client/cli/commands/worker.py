"""`worker`: what operators do with workers. (Without one of these, it starts one.)"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import click

from jobs_grpc.client.cli.display.moments import clock_text
from jobs_grpc.client.cli.display.printing import print_fields, print_record
from jobs_grpc.client.cli.options import Command, Seconds, Settings, pass_settings
from jobs_grpc.client.cli.session import converse
from jobs_grpc.client.records.fleet import Worker

if TYPE_CHECKING:
    from jobs_grpc.client._client import Client

_LOOK_EVERY: Final = 0.5


@click.command("get", cls=Command)
@click.argument("worker")
@pass_settings
def get(settings: Settings, worker: str) -> None:
    """Show one worker."""

    async def work(client: Client) -> Worker:
        return await client.workers.get(worker)

    _print(settings, converse(settings, work))


@click.command("cordon", cls=Command)
@click.argument("worker")
@click.option("--reason", default="", help="For those who ask why.")
@pass_settings
def cordon(settings: Settings, worker: str, reason: str) -> None:
    """Give a worker no new work; what it has goes on."""

    async def work(client: Client) -> Worker:
        return await client.workers.cordon(worker, reason=reason)

    _print(settings, converse(settings, work))


@click.command("uncordon", cls=Command)
@click.argument("worker")
@pass_settings
def uncordon(settings: Settings, worker: str) -> None:
    """Give a worker work again, after a cordon or a drain."""

    async def work(client: Client) -> Worker:
        return await client.workers.uncordon(worker)

    _print(settings, converse(settings, work))


@click.command("drain", cls=Command)
@click.argument("worker")
@click.option(
    "--deadline",
    type=Seconds(),
    default="10m",
    show_default=True,
    help="What still runs after this long is ended.",
)
@click.option("--reason", default="", help="For those who ask why.")
@click.option("--wait", is_flag=True, help="Wait until it has no work.")
@pass_settings
def drain(
    settings: Settings, worker: str, deadline: float, reason: str, wait: bool
) -> None:
    """Give a worker no new work, and end what it has after a deadline.

    What may run twice then waits for another worker and loses no retry; the rest is
    cancelled. `worker uncordon` ends a drain.
    """

    async def work(client: Client) -> Worker:
        found = await client.workers.drain(worker, deadline=deadline, reason=reason)
        while wait and found.slots_used:
            await asyncio.sleep(_LOOK_EVERY)
            found = await client.workers.get(found.id)
        return found

    _print(settings, converse(settings, work))


@click.command("label", cls=Command)
@click.argument("worker")
@click.argument("labels", nargs=-1, required=True, metavar="LABEL...")
@pass_settings
def label(settings: Settings, worker: str, labels: tuple[str, ...]) -> None:
    """Put labels over a worker's own: NAME=VALUE, NAME- or NAME~.

    NAME- takes a label away, NAME~ leaves it to the worker again.
    """
    put: dict[str, str] = {}
    removed, given_back = [], []
    for one in labels:
        key, equals, value = one.partition("=")
        if equals:
            put[key] = value
        elif one.endswith("-"):
            removed.append(one[:-1])
        elif one.endswith("~"):
            given_back.append(one[:-1])
        else:
            raise click.UsageError(f'"{one}" is none of NAME=VALUE, NAME- and NAME~')

    async def work(client: Client) -> Worker:
        return await client.workers.label(
            worker, put, removed=removed, given_back=given_back
        )

    _print(settings, converse(settings, work))


def _print(settings: Settings, found: Worker) -> None:
    fields = [
        ("Worker", found.name),
        ("Id", found.id),
        ("State", found.state.value),
        *([("No Work", found.no_work_reason)] if found.no_work_reason else ()),
        ("Slots", f"{found.slots_used} of {found.slots} used"),
        ("Labels", _pairs(found.labels) or "-"),
        ("Own Labels", _pairs(found.own_labels) or "-"),
        ("Functions", ", ".join(found.functions) or "-"),
        ("Version", found.version or "-"),
        ("Connected", clock_text(found.connected_at)),
        ("Last Heartbeat", clock_text(found.last_heartbeat_at)),
    ]
    if found.cordoned:
        fields.append(("Cordoned", clock_text(found.cordoned_at)))
        fields.append(("Reason", found.cordon_reason or "-"))
    if found.drain_until is not None:
        fields.append(("Drain Until", clock_text(found.drain_until)))
    print_record(settings, found, name=found.name, show=lambda: print_fields(fields))


def _pairs(labels: object) -> str:
    assert isinstance(labels, dict)
    return ",".join(f"{key}={value}" if value else key for key, value in labels.items())
