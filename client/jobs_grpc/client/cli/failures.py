"""What went wrong, in one line that names the thing, and the exit code for it.

Never a traceback, unless `--verbose` asks for it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from jobs_grpc.client._errors import InvalidArgument, JobsError, NotFound
from jobs_grpc.client.cli import exits
from jobs_grpc.client.cli.exits import Exit


class InvalidFiles(click.ClickException):
    """Job files that cannot be used: every problem, one a line."""

    code = Exit.FILE_INVALID

    def __init__(
        self, problems: Sequence[object], *, outcome: str, hint: str = ""
    ) -> None:
        count = f"{len(problems)} problem{'s' if len(problems) != 1 else ''}"
        super().__init__(f"{count}; {outcome}")
        self.problems = [str(problem) for problem in problems]
        self.hint = hint


@contextmanager
def as_invalid_files(outcome: str) -> Iterator[None]:
    """Say what the server finds wrong with documents as what is wrong with their files."""
    try:
        yield
    except (InvalidArgument, NotFound) as error:
        # Whatever it does not find here, for example a queue, a file names.
        violations = getattr(error, "violations", ())
        problems = [f"{one.field}: {one.description}" for one in violations]
        raise InvalidFiles(
            problems or [error.message], outcome=outcome, hint=error.hint
        ) from error


class Failure(click.ClickException):
    """An error of our own words, with its code and the next step."""

    def __init__(self, message: str, code: Exit = Exit.OTHER, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


def report(error: BaseException, arguments: Sequence[str]) -> int:
    """Say what happened on standard error; return the exit code."""
    verbose = _is_verbose(arguments)
    if isinstance(error, click.UsageError):
        _say(error.format_message(), _usage_hint(error))
        return Exit.USAGE
    if isinstance(error, InvalidFiles):
        for problem in error.problems:
            click.echo(problem, err=True)
        _say(error.message, error.hint)
        return error.code
    if isinstance(error, Failure):
        _say(error.message, error.hint)
        return error.code
    if isinstance(error, click.ClickException):
        _say(error.format_message())
        return Exit.OTHER
    if isinstance(error, JobsError):
        return _report_ours(error, verbose=verbose)
    if isinstance(error, click.Abort | KeyboardInterrupt):
        return Exit.INTERRUPTED
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        _say(f"{place}{error.strerror or error}")
        return Exit.OTHER
    _say(
        f"this should not happen: {type(error).__name__}: {error}",
        "" if verbose else "--verbose shows where; please report it",
    )
    if verbose:
        import traceback

        traceback.print_exception(error, file=sys.stderr)
    return Exit.OTHER


def _is_verbose(arguments: Sequence[str]) -> bool:
    # Read without the settings, which may be what failed.
    flags = {"-v", "--verbose"}
    return bool(os.environ.get("JOBS_GRPC_VERBOSE")) or not flags.isdisjoint(arguments)


def _report_ours(error: JobsError, *, verbose: bool) -> int:
    if isinstance(error, InvalidArgument):
        for violation in error.violations:
            parts = [one for one in (violation.field, violation.description) if one]
            # What is wrong with one field is the message too, without the field's name.
            if parts and parts[-1] not in error.message:
                click.echo(": ".join(parts), err=True)
    _say(error.message, error.hint)
    if verbose:
        for name, value in (
            ("reason", error.reason),
            ("code", error.code),
            ("request id", error.request_id),
        ):
            if value:
                click.echo(f"{name}: {value}", err=True)
    return exits.of_error(error)


def _say(message: str, hint: str = "") -> None:
    click.echo(f"error: {message}", err=True)
    if hint:
        click.echo(f"hint: {hint}", err=True)


def _usage_hint(error: click.UsageError) -> str:
    path = error.ctx.command_path if error.ctx else "jobs-grpc"
    return f"see {path} --help"
