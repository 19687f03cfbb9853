"""Crontabs: those of users, and those with a user column (/etc/crontab, /etc/cron.d).

The rules are those of Debian's cron (crontab(5), cron.c, do_command.c), with what cronie,
SUSE and the BSDs add where it can be told apart: `CRON_TZ`, `RANDOM_DELAY`, a leading `-`,
`~`, the flags `-n` and `-q`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from jobs_grpc.client.importing.cron_columns import (
    ALIASES,
    ColumnError,
    Expression,
    read_columns,
)
from jobs_grpc.client.importing.draft import (
    Draft,
    Imported,
    Kind,
    Note,
    Options,
    is_reserved,
    timezone_note,
)
from jobs_grpc.client.importing.naming import Names, name_of_command
from jobs_grpc.schedule import RuleError, parse_schedule

_ASSIGNMENT: Final = re.compile(
    r"""(?:"([^"]*)"|'([^']*)'|([A-Za-z_][^\s=]*))\s*=\s*(.*?)\s*""", re.DOTALL
)
# More minutes than a schedule can be put off by.
_DELAY: Final = re.compile(r"[0-9]{1,9}")
_FLAGS: Final = re.compile(r"-([a-zA-Z])\s+")
# What cron itself gives to every command.
_USUAL_PATH: Final = "/usr/bin:/bin"
_OF_CRON: Final = frozenset(
    ["MAILTO", "MAILFROM", "CRON_TZ", "RANDOM_DELAY", "CONTENT_TYPE",
     "CONTENT_TRANSFER_ENCODING", "LOGNAME", "USER", "START_HOURS_RANGE"]
)  # fmt: skip


def import_crontab(
    text: str, *, origin: str, options: Options, system: bool, names: Names
) -> Imported:
    """Return the jobs of a crontab. `system` says that lines have a user column."""
    reader = _Reader(origin=origin, options=options, system=system, names=names)
    for number, line in enumerate(text.splitlines(), start=1):
        reader.line(number, line)
    reader.conclude()
    return reader.found


@dataclass(slots=True, kw_only=True)
class _Reader:
    origin: str
    options: Options
    system: bool
    names: Names
    found: Imported = field(default_factory=Imported)
    # Assignments hold for the lines below them.
    _environment: dict[str, str] = field(default_factory=dict)
    _comment: str = ""
    _has_reboot: bool = False

    def line(self, number: int, line: str) -> None:
        place = f"{self.origin}:{number}"
        body = line.lstrip(" \t")
        if body.startswith("#"):
            self._comment = body.lstrip("#").strip()
        elif not body:
            self._comment = ""
        elif (assigned := _ASSIGNMENT.fullmatch(body)) is not None:
            self._assign(place, assigned)
        else:
            draft = self._entry(place, body)
            if draft is not None:
                self.found.drafts.append(draft)
            self._comment = ""

    def conclude(self) -> None:
        """Say what is true of the whole crontab."""
        if not self.found.drafts:
            return
        say = self._say_of_all
        if self.options.overlap == "skip":
            say(
                Kind.CHANGED,
                "overlap",
                "cron starts a command while the last one still runs; here the due time"
                " is skipped (--overlap allow keeps cron's way)",
            )
        say(
            Kind.CHANGED,
            "time limit",
            f"cron has none; every run is ended after {self.options.timeout}"
            " (--job-timeout says another)",
        )
        say(
            Kind.CHANGED,
            "directory",
            "cron starts in the home directory of the user; here each job has a"
            " directory of its own, unless the crontab sets HOME",
        )
        if not all(
            "PATH" in draft.document.get("environment", {})
            for draft in self.found.drafts
        ):
            say(
                Kind.CHANGED,
                "environment",
                f"cron's PATH is {_USUAL_PATH}; here it is the worker's",
            )
        if "MAILTO" not in self._environment:
            say(
                Kind.CHANGED,
                "mail",
                "cron mails what a command prints; here output is kept with its"
                " execution, and nobody is told",
            )
        say(
            Kind.KEPT,
            "missed times",
            "cron does not make up for the time it was down, and neither do these jobs"
            " (catch_up: none)",
        )

    def _say_of_all(self, kind: Kind, topic: str, message: str) -> None:
        self.found.notes.append(Note(self.origin, kind, topic, message))

    def _assign(self, place: str, match: re.Match[str]) -> None:
        name = match[1] or match[2] or match[3] or ""
        value = _unquoted(match[4])
        self._environment[name] = value

        def say(kind: Kind, topic: str, message: str) -> None:
            self.found.notes.append(Note(place, kind, topic, message))

        if name == "MAILTO" and value:
            say(
                Kind.DROPPED,
                "mail",
                f"output is not mailed to {value}; it is kept with its execution",
            )
        elif name == "MAILTO":
            say(Kind.KEPT, "mail", "nothing was mailed, and nothing is")
        elif name in {"MAILFROM", "CONTENT_TYPE", "CONTENT_TRANSFER_ENCODING"}:
            say(Kind.DROPPED, "mail", f"{name} is about mail, and there is none")
        elif name in {"LOGNAME", "USER"}:
            say(Kind.DROPPED, "environment", f"{name} is set by cron, not by a crontab")
        elif name == "TZ":
            say(
                Kind.KEPT,
                "zone",
                "TZ is the zone of the commands, and does not move due times",
            )
        elif name == "SHELL":
            say(Kind.KEPT, "environment", f"the commands below are run by {value} -c")
        elif name in {"CRON_TZ", "RANDOM_DELAY"}:
            self._assign_for_cronie(place, name, value)
        elif name == "START_HOURS_RANGE":
            say(Kind.DROPPED, "environment", f"{name} is anacron's")
        elif is_reserved(name):
            say(
                Kind.DROPPED,
                "environment",
                f"{name} is set for every job and cannot be overridden",
            )
        elif "$" in value:
            say(
                Kind.KEPT,
                "environment",
                f"{name} is taken as written: neither cron nor a job file replaces $ in it",
            )

    def _assign_for_cronie(self, place: str, name: str, value: str) -> None:
        """Note what moves the lines below in cronie, and not in Debian's cron."""
        if name == "CRON_TZ":
            self.found.notes.append(_zone_note(place, value, self.options.timezone))
        elif note := _delay_note(place, value):
            self.found.notes.append(note)

    def _entry(self, place: str, body: str) -> Draft | None:
        notes: list[Note] = []

        def say(kind: Kind, topic: str, message: str) -> None:
            notes.append(Note(place, kind, topic, message))

        source = body
        if body.startswith("-"):
            body = body[1:]
            say(
                Kind.CHANGED,
                "log",
                "the - kept the line out of the system log; every execution is on"
                " record here",
            )
        try:
            schedule, rest = self._schedule(body)
        except ColumnError as error:
            self.found.notes.append(Note(place, Kind.REFUSED, "line", str(error)))
            return None
        user = ""
        if self.system:
            user, rest = _split(rest)
        command = self._without_flags(rest, say)
        if not command:
            what = "a user and a command" if self.system else "a command"
            self.found.notes.append(
                Note(place, Kind.REFUSED, "line", f"there should be {what} at its end")
            )
            return None
        if isinstance(schedule, str) and schedule == "@reboot":
            self.found.notes.append(
                Note(
                    place,
                    Kind.REFUSED,
                    "@reboot",
                    "a fleet has no single start: let the service manager of the host"
                    f" run {name_of_command(command)!r}",
                )
            )
            return None
        draft = self._draft(place, schedule, command, user)
        draft.source = source
        draft.notes[:0] = notes
        return draft

    def _schedule(self, body: str) -> tuple[Expression | str, str]:
        """Return when a line is due, and the rest of it."""
        if body.startswith("@"):
            alias, rest = _split(body)
            if alias.lower() == "@reboot":
                return "@reboot", rest
            if alias.lower() not in ALIASES:
                raise ColumnError(f"cron does not know {alias}")
            return ALIASES[alias.lower()], rest
        words = body.split(None, 5)
        if len(words) < 6:
            raise ColumnError(
                "neither an assignment nor five columns and a command"
                if len(words) < 5
                else "there is no command after the five columns"
            )
        return read_columns(words[:5]), words[5]

    def _without_flags(self, rest: str, say: Callable[[Kind, str, str], None]) -> str:
        """Cut OpenBSD's flags off, which stand before the command."""
        while (flag := _FLAGS.match(rest)) is not None:
            meaning = {
                "n": "-n: mail is only for failures; there is none",
                "q": "-q: not logged; every execution is on record here",
                "s": "-s: one at a time; overlap: skip does that",
            }.get(flag[1])
            if meaning is None:
                break
            say(Kind.DROPPED, "flag", meaning)
            rest = rest[flag.end() :]
        return rest.strip(" \t")

    def _draft(
        self, place: str, schedule: Expression | str, command: str, user: str
    ) -> Draft:
        cron = schedule if isinstance(schedule, str) else schedule.text
        line, stdin = split_percent(command)
        zone = self._environment.get("CRON_TZ") or self.options.timezone
        document: dict[str, Any] = {
            "name": self.names.take(name_of_command(line)),
            "description": self._comment,
            "command": line,
            "stdin": stdin,
            "environment": {
                name: value
                for name, value in self._environment.items()
                if name not in _OF_CRON and not is_reserved(name)
            },
            "working_dir": self._environment.get("HOME", ""),
            "schedule": {"cron": cron},
            "timezone": zone,
            "overlap": self.options.overlap,
            "catch_up": "none",
            "timeout": self.options.timeout,
        }
        if self.options.namespace:
            document["namespace"] = self.options.namespace
        always = {"name", "overlap", "catch_up", "timeout", "timezone"}
        document = {k: v for k, v in document.items() if v or k in always}
        draft = Draft(document=document, place=place, source=command)
        self._note_command(draft, command, line, stdin)
        if not isinstance(schedule, str):
            _note_days(draft, schedule)
        note = timezone_note(self.origin, zone)
        if "CRON_TZ" not in self._environment and note not in self.found.notes:
            self.found.notes.append(note)
        if user:
            draft.offer(
                ("user",),
                user,
                f"it ran as {user}; here it runs as the worker's user",
            )
        if delay := _minutes(self._environment.get("RANDOM_DELAY", "")):
            draft.offer(
                ("schedule", "jitter"),
                f"{delay}m",
                f"RANDOM_DELAY={delay}: starts were spread over {delay} minutes, now"
                " they are not",
            )
        return draft

    def _note_command(self, draft: Draft, command: str, line: str, stdin: str) -> None:
        if stdin:
            draft.note(
                Kind.KEPT,
                "%",
                "what follows the first % is standard input, each further % a new line",
            )
        elif line != command:
            draft.note(Kind.KEPT, "%", "\\% is written as a plain %")
        shell = self._environment.get("SHELL", "/bin/sh")
        if shell not in {"/bin/sh", "sh", ""}:
            draft.document["command"] = [shell, "-c", line]


def split_percent(command: str) -> tuple[str, str]:
    """Return the command and its standard input, by the rules of do_command.c.

    The first `%` that no backslash stands before ends the command; in what follows each
    such `%` is a new line, and the text ends with one. `\\%` is a plain `%`; any other
    backslash stays.
    """
    parts: list[list[str]] = [[]]
    escaped = False
    for one in command:
        current = parts[-1]
        if one == "%" and escaped:
            current[-1] = "%"
        elif one == "%" and len(parts) == 1:
            parts.append([])
        elif one == "%":
            current.append("\n")
        else:
            current.append(one)
        escaped = one == "\\" and not escaped
    line = "".join(parts[0]).rstrip(" \t")
    if len(parts) == 1:
        return line, ""
    stdin = "".join(parts[1])
    return line, stdin if stdin.endswith("\n") or not stdin else f"{stdin}\n"


def _note_days(draft: Draft, expression: Expression) -> None:
    if expression.either_day:
        draft.note(
            Kind.KEPT,
            "days",
            "due on the days of the month and on the days of the week (either is enough)",
        )
    elif expression.both_days:
        draft.note(
            Kind.KEPT,
            "days",
            "a column that begins with * restricts the other: both have to match",
        )
    if expression.is_random:
        draft.note(
            Kind.CHANGED,
            "~",
            "drawn from the name of the job (H), and not anew when the crontab is loaded",
        )


def _zone_note(place: str, value: str, host_s: str) -> Note:
    """Return what is said of `CRON_TZ`; an unknown zone refuses the lines below it."""
    if not value:
        return Note(
            place,
            Kind.CHANGED,
            "zone",
            "CRON_TZ is empty: the lines below are due in the zone of the host, imported"
            f" in {host_s} (--timezone says another)",
        )
    try:
        parse_schedule("every 1d", default_timezone=value)
    except RuleError as error:
        said = f"CRON_TZ: {error.message}; the lines below are left out"
        return Note(place, Kind.REFUSED, "zone", said)
    return Note(
        place,
        Kind.CHANGED,
        "zone",
        f"the lines below are due in {value}, as in cronie; Debian's cron takes no notice"
        " of CRON_TZ",
    )


def _delay_note(place: str, value: str) -> Note | None:
    """Return what is said of `RANDOM_DELAY`, if it delays or should have."""
    if most := _minutes(value):
        return Note(
            place,
            Kind.CHANGED,
            "jitter",
            f"the lines below start up to {most} minute{'s' * (most > 1)} late, as in"
            " cronie; Debian's cron takes no notice of RANDOM_DELAY",
        )
    if value and not _DELAY.fullmatch(value):
        said = f"RANDOM_DELAY={value} is no whole number of minutes"
        return Note(place, Kind.DROPPED, "jitter", said)
    return None


def _minutes(delay: str) -> int:
    """Return `RANDOM_DELAY` as a number; what is none delays nothing."""
    return int(delay) if _DELAY.fullmatch(delay) else 0


def _split(text: str) -> tuple[str, str]:
    word, *rest = text.split(None, 1) or [""]
    return word, rest[0] if rest else ""


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value
