"""Instants as they are written on the command line: RFC 3339."""

from __future__ import annotations

from datetime import datetime

import click


def instant(text: str | None, option: str) -> datetime | None:
    """Return the instant that an option gives, if it does."""
    if text is None:
        return None
    from jobs_grpc.runtime.clock import to_datetime
    from jobs_grpc.schedule import RuleError, parse_instant

    try:
        return to_datetime(parse_instant(text))
    except RuleError as error:
        raise click.UsageError(f"{option}: {error}") from None
