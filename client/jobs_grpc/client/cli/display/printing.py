"""Results in the form that `-o` names. Data goes to standard output, the rest to errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from jobs_grpc.client.cli.display.table import Column, print_table
from jobs_grpc.client.cli.options import Settings
from jobs_grpc.client.records.page import Page, Record

RecordT = TypeVar("RecordT", bound=Record)


def print_records(
    settings: Settings,
    records: Sequence[RecordT],
    columns: Sequence[Column[RecordT]],
    *,
    name: Callable[[RecordT], str],
    envelope: dict[str, Any] | None = None,
    empty: str = "",
) -> None:
    """Print a list; `envelope` is its JSON where that has more than the records."""
    if settings.is_data:
        whole = envelope or {
            "data": [record.to_json() for record in records],
            "next_page_token": None,
        }
        print_document(settings, whole)
    elif settings.output == "name":
        for record in records:
            click.echo(name(record))
    elif records:
        print_table(columns, records, wide=settings.output == "wide")
    elif empty:
        note(empty)


def print_page(
    settings: Settings,
    page: Page[RecordT],
    columns: Sequence[Column[RecordT]],
    *,
    name: Callable[[RecordT], str],
    empty: str,
) -> None:
    """Print a part of a list; people are told how to see the next one."""
    print_records(
        settings, page.data, columns, name=name, envelope=page.to_json(), empty=empty
    )
    if page.next_page_token and settings.is_table:
        import shlex

        note(f"more: --page-token {shlex.quote(page.next_page_token)}")


def print_record(
    settings: Settings, record: Record, *, name: str, show: Callable[[], None]
) -> None:
    """Print one thing; `show` prints it for people."""
    if settings.is_data:
        print_document(settings, record.to_json())
    elif settings.output == "name":
        click.echo(name)
    else:
        show()


def print_done(
    settings: Settings, document: dict[str, Any], *, text: str, name: str = ""
) -> None:
    """Say what was done where no record is left to show; without a name, `name` is silent."""
    if settings.is_data:
        print_document(settings, document)
    elif settings.output != "name":
        click.echo(text)
    elif name:
        click.echo(name)


def print_document(settings: Settings, document: Any) -> None:
    """Print plain data as YAML if that is asked for, else as JSON."""
    if settings.output == "yaml":
        click.echo(yaml_text(document), nl=False)
    else:
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def yaml_text(document: Any) -> str:
    import yaml

    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    return text


def print_fields(fields: Sequence[tuple[str, str]]) -> None:
    """Print `Name: value`, one a line."""
    for field, value in fields:
        click.echo(f"{field}: {value}")


def note(text: str) -> None:
    """Say something that is not data."""
    click.echo(text, err=True)
