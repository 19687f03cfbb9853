"""The settings of a worker: one table of flags and variables, one frozen result.

A flag wins over its variable, a variable over the default. Everything that is wrong is
said at once. Nothing below the daemon reads the environment.
"""

from __future__ import annotations

import argparse
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from jobs_grpc.wire.channel import DEFAULT_ADDRESS
from jobs_grpc.worker import log

MAX_SLOTS: Final = 10_000
_SIZE: Final = re.compile(r"(\d{1,12})\s*([kmgt]i?b?|b)?", re.IGNORECASE)
_SHIFTS: Final = {"": 0, "b": 0, "k": 10, "m": 20, "g": 30, "t": 40}


class SettingsError(Exception):
    """Settings are wrong; one problem a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What a worker is told about itself."""

    addr: str = DEFAULT_ADDRESS
    name: str = field(default_factory=socket.gethostname)
    slots: int = 10
    labels: Mapping[str, str] = field(default_factory=dict)
    data: Path = Path("jobs-grpc-worker")
    functions: tuple[str, ...] = ()
    log_format: str = "console"
    log_level: str = "info"
    ephemeral: bool = False
    # Bytes; absent: a gigabyte, of a small disk its twentieth part.
    min_free_disk: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting: its flag, its variable, and how a text becomes a value.

    `read` raises `ValueError` with what the value must be.
    """

    name: str
    variable: str
    help: str
    read: Callable[[str], Any]
    metavar: str = ""
    # The flag may be given several times; the variable holds a comma-separated list.
    is_list: bool = False
    is_switch: bool = False

    @property
    def flag(self) -> str:
        """The flag of the command line."""
        return f"--{'label' if self.name == 'labels' else self.name.replace('_', '-')}"


def _address(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65_536:
        raise ValueError("must be HOST:PORT, like 127.0.0.1:7420")
    return text


def _name(text: str) -> str:
    if not text or len(text) > 128 or not text.isprintable():
        raise ValueError("must be 1 to 128 printable characters")
    return text


def _slots(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= MAX_SLOTS:
        raise ValueError(f"must be a number from 1 to {MAX_SLOTS}")
    return int(text)


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError("must be NAME=VALUE, like role=db")
    # The rule is that of job files, which are slow to import: most workers have no label.
    from jobs_grpc.jobfile import label_fault

    if fault := label_fault(name, value):
        raise ValueError(fault)
    return name, value


def _word_of(words: Sequence[str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return text

    return read


def _size(text: str) -> int:
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ValueError("must be a size, like 500MiB or 2GiB, or 0")
    return int(found[1]) << _SHIFTS[(found[2] or "").lower()[:1]]


def _truth(text: str) -> bool:
    if text.lower() in {"1", "true", "yes"}:
        return True
    if text.lower() in {"0", "false", "no"}:
        return False
    raise ValueError("must be true or false")


SETTINGS: Final[tuple[Setting, ...]] = (
    Setting(
        name="addr",
        variable="JOBS_GRPC_ADDR",
        help=f"address of the control plane (default {DEFAULT_ADDRESS})",
        read=_address,
        metavar="HOST:PORT",
    ),
    Setting(
        name="name",
        variable="JOBS_GRPC_WORKER_NAME",
        help="name of this worker (default: the host's name)",
        read=_name,
    ),
    Setting(
        name="slots",
        variable="JOBS_GRPC_WORKER_SLOTS",
        help="attempts that run at once (default 10)",
        read=_slots,
        metavar="N",
    ),
    Setting(
        name="labels",
        variable="JOBS_GRPC_WORKER_LABELS",
        help="a label, by which jobs select workers; may be repeated",
        read=_label,
        metavar="NAME=VALUE",
        is_list=True,
    ),
    Setting(
        name="data",
        variable="JOBS_GRPC_WORKER_DATA",
        help="directory of this worker alone (default: in the user's state directory)",
        read=Path,
        metavar="DIR",
    ),
    Setting(
        name="functions",
        variable="JOBS_GRPC_WORKER_FUNCTIONS",
        help="a module (shop.jobs) or file (jobs/shop.py) with functions; may be repeated",
        read=str,
        metavar="MODULE",
        is_list=True,
    ),
    Setting(
        name="log_format",
        variable="JOBS_GRPC_WORKER_LOG_FORMAT",
        help="console or json (default console)",
        read=_word_of(log.FORMATS),
    ),
    Setting(
        name="log_level",
        variable="JOBS_GRPC_WORKER_LOG_LEVEL",
        help="debug, info, warning or error (default info)",
        read=_word_of(log.LEVELS),
    ),
    Setting(
        name="min_free_disk",
        variable="JOBS_GRPC_WORKER_MIN_FREE_DISK",
        help="take no work while the disk of the data directory has less free"
        " (default 1GiB, of a small disk its twentieth part; 0: always take work)",
        read=_size,
        metavar="SIZE",
    ),
    Setting(
        name="ephemeral",
        variable="JOBS_GRPC_WORKER_EPHEMERAL",
        help="end all jobs when the worker ends, instead of letting them run on",
        read=_truth,
        is_switch=True,
    ),
)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="jobs-grpc worker",
        description="Run jobs on this host for a jobs-grpc control plane.",
        allow_abbrev=False,
    )
    for setting in SETTINGS:
        text = f"{setting.help} [{setting.variable}]"
        if setting.is_switch:
            made.add_argument(
                setting.flag, action="store_true", default=None, help=text
            )
        elif setting.is_list:
            made.add_argument(
                setting.flag,
                dest=setting.name,
                action="extend",
                nargs="+",
                metavar=setting.metavar,
                help=text,
            )
        else:
            metavar = setting.metavar or setting.name.upper()
            made.add_argument(
                setting.flag, dest=setting.name, metavar=metavar, help=text
            )
    return made


def read_settings(
    arguments: Sequence[str], environment: Mapping[str, str]
) -> WorkerSettings:
    """Return the settings of a command line.

    Raises:
        SettingsError: with everything that is wrong.
    """
    given = vars(parser().parse_args(arguments))
    values: dict[str, Any] = {"data": default_data(environment)}
    problems: list[str] = []
    for setting in SETTINGS:
        text, origin = given[setting.name], setting.flag
        if text is None:
            text, origin = environment.get(setting.variable) or None, setting.variable
            if text is not None and setting.is_list:
                text = [one.strip() for one in text.split(",") if one.strip()]
        if text is None:
            continue
        try:
            values[setting.name] = _value(setting, text)
        except ValueError as error:
            problems.append(f"{origin}: {error}, not {text!r}")
    if problems:
        raise SettingsError("\n".join(problems))
    return WorkerSettings(**values)


def _value(setting: Setting, text: Any) -> Any:
    if text is True:
        return True
    if not setting.is_list:
        return setting.read(text)
    items = [setting.read(one) for one in text]
    return dict(items) if setting.name == "labels" else tuple(items)


def default_data(environment: Mapping[str, str]) -> Path:
    """Return the directory of a worker that was given none."""
    state = environment.get("XDG_STATE_HOME")
    if state:
        return Path(state) / "jobs-grpc" / "worker"
    home = environment.get("HOME")
    if home and Path(home, ".local").is_dir():
        return Path(home) / ".local" / "state" / "jobs-grpc" / "worker"
    return Path("jobs-grpc-worker")
