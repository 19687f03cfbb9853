"""The options that every command has, and where their values come from.

They may stand before or after the command: `jobs-grpc -n ops list` and
`jobs-grpc list -n ops` are the same. What is said later wins; then the environment, then
the built-in value. `SETTINGS` is the one table of them; help, docs and a test read it.

Also here: the options that several commands take, `file_options` and `page_options`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Concatenate, Final, NamedTuple, ParamSpec, TypeVar

import click

from jobs_grpc.wire.channel import DEFAULT_ADDRESS, LONGEST_DAYS, MAX_PAGE

P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

FORMATS: Final = ("table", "wide", "json", "yaml", "name")


class Seconds(click.ParamType[float]):
    """A number of seconds, or a duration such as `90s` or `5m`."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            seconds = float(value)
        except ValueError:
            from jobs_grpc.schedule import RuleError, parse_duration

            try:
                seconds = parse_duration(value) / 1_000_000
            except RuleError as error:
                self.fail(str(error), param, ctx)
        if not 0 <= seconds < float("inf"):
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        if seconds > LONGEST_DAYS * 86_400:
            self.fail(f"a duration is at most {LONGEST_DAYS}d", param, ctx)
        return seconds


class Setting(NamedTuple):
    """One setting: how it is written, what it is without being written, what it does."""

    name: str
    flags: tuple[str, ...]
    variable: str
    built_in: Any
    type: click.ParamType[Any]
    summary: str
    is_flag: bool = False


SETTINGS: Final = (
    Setting(
        name="addr",
        flags=("--addr",),
        variable="JOBS_GRPC_ADDR",
        built_in=DEFAULT_ADDRESS,
        type=click.STRING,
        summary="The server, HOST:PORT.",
    ),
    Setting(
        name="namespace",
        flags=("-n", "--namespace"),
        variable="JOBS_GRPC_NAMESPACE",
        built_in="default",
        type=click.STRING,
        summary="Whose jobs are meant.",
    ),
    Setting(
        name="workspace",
        flags=("--workspace",),
        variable="JOBS_GRPC_WORKSPACE",
        built_in="",
        type=click.STRING,
        summary=(
            "The workspace of the job. Without it, jobs outside any workspace; "
            "lists show all."
        ),
    ),
    Setting(
        name="output",
        flags=("-o", "--output"),
        variable="JOBS_GRPC_OUTPUT",
        built_in="table",
        type=click.Choice(FORMATS),
        summary="How results are printed.",
    ),
    Setting(
        name="timeout",
        flags=("--timeout",),
        variable="JOBS_GRPC_TIMEOUT",
        built_in=10.0,
        type=Seconds(),
        summary="How long one call to the server may take.",
    ),
    Setting(
        name="verbose",
        flags=("-v", "--verbose"),
        variable="JOBS_GRPC_VERBOSE",
        built_in=False,
        type=click.BOOL,
        summary="Say more about errors.",
        is_flag=True,
    ),
)


class Settings(NamedTuple):
    """What every command knows before it begins."""

    addr: str
    namespace: str
    workspace: str
    output: str
    timeout: float
    verbose: bool
    # What was written on the command line, for daemons that read the rest themselves.
    said: Mapping[str, Any]

    @property
    def is_data(self) -> bool:
        """Programs read what is printed, and want all of it."""
        return self.output in {"json", "yaml"}

    @property
    def is_table(self) -> bool:
        """People read what is printed."""
        return self.output in {"table", "wide"}


def resolved(ctx: click.Context, environment: Mapping[str, str]) -> Settings:
    """Return every setting; a bad value of a variable is a usage error that names it."""
    said = ctx.find_root().ensure_object(dict)
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        values[setting.name] = said.get(setting.name)
        if values[setting.name] is None:
            values[setting.name] = _unsaid(setting, ctx, environment)
    return Settings(**values, said=dict(said))


def pass_settings(
    command: Callable[Concatenate[Settings, P], T],
) -> Callable[P, T]:
    """Hand the settings to a command as its first argument."""

    @functools.wraps(command)
    def with_settings(*args: P.args, **kwargs: P.kwargs) -> T:
        settings = resolved(click.get_current_context(), os.environ)
        return command(settings, *args, **kwargs)

    return with_settings


def file_options(command: F) -> F:
    """Add what names job files: `paths` and `stdin_format`."""
    for option in (
        click.option(
            "--format",
            "stdin_format",
            type=click.Choice(["json", "yaml", "toml"]),
            help="What standard input is written in; guessed if left out.",
        ),
        click.option(
            "-f",
            "--file",
            "paths",
            multiple=True,
            required=True,
            metavar="FILE|DIR|-",
            help="A job file, a folder of them, or - for standard input; may be repeated.",
        ),
    ):
        command = option(command)
    return command


def page_options(
    limit: int = 50, summary: str = "How many, newest first."
) -> Callable[[F], F]:
    """Return what adds the choice of a part of a list: `limit` and `page_token`."""

    def add(command: F) -> F:
        for option in (
            click.option(
                "--page-token", default="", help="Go on where the last page ended."
            ),
            click.option(
                "--limit",
                type=click.IntRange(1, MAX_PAGE),
                default=limit,
                show_default=True,
                help=summary,
            ),
        ):
            command = option(command)
        return command

    return add


class SharedOptions(click.Command):
    """Adds the shared options to a command that does not use their letters itself."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        taken = {flag for param in self.params for flag in param.opts}
        self.shared = [
            _option(setting) for setting in SETTINGS if taken.isdisjoint(setting.flags)
        ]
        self.params.extend(self.shared)

    def format_options(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        shared: list[click.Parameter] = list(self.shared)
        own = [
            param
            for param in self.get_params(ctx)
            if param not in shared and not isinstance(param, click.Argument)
        ]
        _write_section(formatter, ctx, "Options", own)
        _write_section(formatter, ctx, "Options of every command", shared)


class Command(SharedOptions):
    """A command with the shared options."""


class Group(SharedOptions, click.Group):
    """A group with the shared options, whose commands have them too."""

    command_class = Command

    def format_options(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        super().format_options(ctx, formatter)
        self.format_commands(ctx, formatter)


def _option(setting: Setting) -> click.Option:
    # An option's value is None where it is not written, flags included.
    more: dict[str, Any] = {"is_flag": True} if setting.is_flag else {}
    return click.Option(
        [*setting.flags, setting.name],
        type=setting.type,
        default=None,
        expose_value=False,
        callback=_remember,
        help=f"{setting.summary}  [{setting.variable}]",
        **more,
    )


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    if value is not None:
        ctx.find_root().ensure_object(dict)[param.name] = value
    return value


def _unsaid(
    setting: Setting, ctx: click.Context, environment: Mapping[str, str]
) -> Any:
    text = environment.get(setting.variable)
    if not text:
        return setting.built_in
    try:
        return setting.type.convert(text, None, ctx)
    except click.BadParameter as error:
        raise click.UsageError(f"{setting.variable}: {error.message}", ctx) from None


def _write_section(
    formatter: click.HelpFormatter,
    ctx: click.Context,
    title: str,
    params: Iterable[click.Parameter],
) -> None:
    rows = [param.get_help_record(ctx) for param in params]
    shown = [row for row in rows if row is not None]
    if shown:
        with formatter.section(title):
            formatter.write_dl(shown)
