"""Settings of the server: flags before environment before defaults.

Each field is one flag, one variable and one line of the documents; a test of the
repository holds the three together.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from jobs_grpc.schedule import RuleError, parse_duration
from jobs_grpc.wire.channel import DEFAULT_ADDRESS

# Shorter ones would end with every pause of a process, longer ones hide dead hosts.
SHORTEST_TTL: Final = 3_000_000
LONGEST_TTL: Final = 600_000_000
LOG_FORMATS: Final = ("console", "json")
LOG_LEVELS: Final = ("debug", "info", "warning", "error")


class SettingsError(Exception):
    """Settings that cannot stand; the message lists all problems."""


def _setting(default: str, env: str, text: str, *, metavar: str = "") -> Any:
    return field(
        default=default, metadata={"env": env, "help": text, "metavar": metavar}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a server can be told."""

    data: str = _setting(
        "jobs-grpc-data",
        "JOBS_GRPC_DATA",
        "directory for the database and the output; made if it is missing",
        metavar="DIR",
    )
    jobs: str = _setting(
        "",
        "JOBS_GRPC_JOBS",
        "folder of job files to watch",
        metavar="DIR",
    )
    addr: str = _setting(
        DEFAULT_ADDRESS,
        "JOBS_GRPC_ADDR",
        "where to listen; only loopback addresses until there is TLS",
        metavar="HOST:PORT",
    )
    session_ttl: str = _setting(
        "30s",
        "JOBS_GRPC_SESSION_TTL",
        "how long a worker may be silent before its work is given to others or lost",
        metavar="DURATION",
    )
    keep_decisions: str = _setting(
        "90d",
        "JOBS_GRPC_KEEP_DECISIONS",
        "how long it is kept what became of due times, and pauses that have ended",
        metavar="DURATION",
    )
    inbox: str = _setting(
        "50000",
        "JOBS_GRPC_INBOX",
        "how many requests may wait to be decided; more are refused with the advice"
        " to come back",
        metavar="N",
    )
    log_format: str = _setting(
        "console", "JOBS_GRPC_LOG_FORMAT", "console or json", metavar="FORMAT"
    )
    log_level: str = _setting(
        "info",
        "JOBS_GRPC_LOG_LEVEL",
        "the least serious lines to write: debug, info, warning or error",
        metavar="LEVEL",
    )

    @property
    def session_ttl_us(self) -> int:
        """The time to live of a session, in microseconds."""
        return parse_duration(self.session_ttl)

    def check(self) -> None:
        """Raise `SettingsError` naming everything that is wrong."""
        problems = [
            problem
            for problem in (
                _address_problem(self.addr),
                _choice_problem("--log-format", self.log_format, LOG_FORMATS),
                _choice_problem("--log-level", self.log_level, LOG_LEVELS),
                _folder_problem(self.jobs),
                _number_problem("--inbox", self.inbox, 1, 10_000_000),
                _ttl_problem(self.session_ttl),
                _duration_problem("--keep-decisions", self.keep_decisions),
            )
            if problem
        ]
        if problems:
            raise SettingsError("; ".join(problems))


def parser() -> argparse.ArgumentParser:
    """Return the parser with a flag for each setting."""
    made = argparse.ArgumentParser(
        prog="jobs-grpc server",
        description="Run the control plane: schedules, leases, state, output.",
    )
    for one in fields(Settings):
        flags = [f"--{one.name.replace('_', '-')}"]
        if one.name == "jobs":
            flags.append("--jobs-dir")
        made.add_argument(
            *flags,
            dest=one.name,
            metavar=one.metadata["metavar"],
            help=f"{one.metadata['help']} (env {one.metadata['env']};"
            f" default: {one.default or 'none'})",
        )
    return made


def load(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Return the settings, checked."""
    given = vars(parser().parse_args(arguments))
    values: dict[str, str] = {}
    for one in fields(Settings):
        from_flag = given[one.name]
        from_environment = environment.get(one.metadata["env"])
        if from_flag is not None:
            values[one.name] = from_flag
        elif from_environment:
            values[one.name] = from_environment
    settings = Settings(**values)
    settings.check()
    return settings


def from_process(arguments: Sequence[str]) -> Settings:
    """Return the settings of this process."""
    return load(arguments, os.environ)


def _address_problem(address: str) -> str:
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or not 0 <= int(port) <= 65_535:
        return f'--addr: "{address}" is no HOST:PORT, such as {DEFAULT_ADDRESS}'
    plain = host.strip("[]")
    if plain == "localhost":
        return ""
    try:
        is_loopback = ipaddress.ip_address(plain).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        return (
            f'--addr: "{address}" is not a loopback address, and without TLS the server'
            " listens on loopback only; use 127.0.0.1"
        )
    return ""


def _choice_problem(flag: str, value: str, known: Sequence[str]) -> str:
    if value in known:
        return ""
    return f'{flag}: "{value}" is none of {", ".join(known)}'


def _ttl_problem(text: str) -> str:
    try:
        length = parse_duration(text)
    except RuleError as error:
        return f'--session-ttl: "{text}": {error.message}'
    if not SHORTEST_TTL <= length <= LONGEST_TTL:
        return f'--session-ttl: "{text}" is not from 3s to 10m'
    return ""


def _duration_problem(flag: str, text: str) -> str:
    try:
        if parse_duration(text) > 0:
            return ""
    except RuleError as error:
        return f"{flag}: {error}"
    return f"{flag}: must be longer than zero"


def _number_problem(flag: str, value: str, least: int, most: int) -> str:
    if value.isdecimal() and least <= int(value) <= most:
        return ""
    return f'{flag}: "{value}" is no whole number from {least} to {most}'


def _folder_problem(folder: str) -> str:
    if folder and not Path(folder).is_dir():
        return f'--jobs: "{folder}" is not a folder'
    return ""
