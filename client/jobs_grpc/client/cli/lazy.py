"""A group whose commands are loaded when they are typed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any, NamedTuple, NoReturn

import click

from jobs_grpc.client.cli.options import Group


class Entry(NamedTuple):
    """Where a command is ("module:attribute") and the line that help has for it."""

    target: str
    summary: str
    is_hidden: bool = False

    def load(self) -> click.Command:
        module, _, attribute = self.target.partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command


class PipeClosed(Exception):  # noqa: N818 - what happened, not whose fault it is
    """The reader of our output has seen enough."""


class LazyGroup(Group):
    """Help and completion of the group itself load none of its commands."""

    def __init__(self, *args: Any, entries: Mapping[str, Entry], **more: Any) -> None:
        super().__init__(*args, **more)
        self.entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name, entry in self.entries.items() if not entry.is_hidden]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self.entries.get(cmd_name)
        return entry.load() if entry else None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            # click would end the program here, and leave what is buffered to fail later.
            raise PipeClosed from error

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in self.entries and not name.startswith("-"):
            fail_unknown(ctx, name, self.entries)
        return super().resolve_command(ctx, args)

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        rows = [(name, self.entries[name].summary) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def fail_unknown(ctx: click.Context, name: str, known: Iterable[str]) -> NoReturn:
    """Refuse a command that is none, and name the one that is nearest."""
    from difflib import get_close_matches

    near = get_close_matches(name, list(known), n=1)
    suggestion = f'; did you mean "{near[0]}"?' if near else ""
    ctx.fail(f'no such command "{name}"{suggestion}')
