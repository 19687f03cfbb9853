"""`breaker`: what keeps failing and is left alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from jobs_grpc.client.cli.display.moments import clock_text, relative_text
from jobs_grpc.client.cli.display.printing import (
    print_fields,
    print_record,
    print_records,
)
from jobs_grpc.client.cli.display.table import Column
from jobs_grpc.client.cli.options import Group, Seconds, Settings, pass_settings
from jobs_grpc.client.cli.session import converse
from jobs_grpc.client.records.breaker import Breaker

if TYPE_CHECKING:
    from jobs_grpc.client._client import Client


@click.group(cls=Group)
def breaker() -> None:
    """Look after circuit breakers: what keeps failing is left alone.

    Names are job:NAME, the name of a dependency, or worker:NAME.
    """


@breaker.command("list")
@pass_settings
def list_breakers(settings: Settings) -> None:
    """List the circuit breakers."""

    async def work(client: Client) -> tuple[Breaker, ...]:
        return await client.breakers.list()

    print_records(
        settings,
        converse(settings, work),
        _columns(datetime.now(UTC)),
        name=lambda one: one.name,
        empty="there are no circuit breakers; a job asks for one with the key breaker",
    )


@breaker.command()
@click.argument("name")
@pass_settings
def get(settings: Settings, name: str) -> None:
    """Show one circuit breaker."""

    async def work(client: Client) -> Breaker:
        return await client.breakers.get(name)

    _print(settings, converse(settings, work))


@breaker.command()
@click.argument("name")
@click.option(
    "--for",
    "open_for",
    type=Seconds(),
    help="Try again after this long; without it, only a reset closes it.",
)
@click.option("--reason", default="", help="For those who ask why.")
@pass_settings
def trip(settings: Settings, name: str, open_for: float | None, reason: str) -> None:
    """Open a circuit breaker by hand: what needs it waits."""

    async def work(client: Client) -> Breaker:
        return await client.breakers.trip(name, open_for=open_for, reason=reason)

    _print(settings, converse(settings, work))


@breaker.command()
@click.argument("name")
@pass_settings
def reset(settings: Settings, name: str) -> None:
    """Close a circuit breaker by hand: what waits for it goes on."""

    async def work(client: Client) -> Breaker:
        return await client.breakers.reset(name)

    _print(settings, converse(settings, work))


def _columns(now: datetime) -> list[Column[Breaker]]:
    return [
        Column("NAME", lambda one: one.name),
        Column("KIND", lambda one: one.kind.value),
        Column("STATE", lambda one: one.state.value),
        Column("FAILURES", lambda one: str(one.failures)),
        Column("TRIPS", lambda one: str(one.trips)),
        Column(
            "CHANGED",
            lambda one: relative_text(one.changed_at, now),
            wide=lambda one: clock_text(one.changed_at),
        ),
        Column(
            "UNTIL",
            lambda one: relative_text(one.until, now),
            wide=lambda one: clock_text(one.until),
        ),
        Column("REASON", lambda one: one.reason),
    ]


def _print(settings: Settings, found: Breaker) -> None:
    fields = [
        ("Breaker", found.name),
        ("Kind", found.kind.value),
        ("State", found.state.value),
        ("Reason", found.reason or "-"),
        ("Failures In A Row", str(found.failures)),
        ("Successful Probes", str(found.successes)),
        ("Probe", found.probe or "-"),
        ("Changed", clock_text(found.changed_at)),
        ("Open Until", clock_text(found.until)),
        ("Trips", str(found.trips)),
    ]
    print_record(settings, found, name=found.name, show=lambda: print_fields(fields))
