"""`import`: job files from what other schedulers have, and what that changes.

The job files go to standard output, or into a folder with `--into`; the report goes to
standard error. `-o json` has both on standard output.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from jobs_grpc.client.cli.display.printing import note, print_document
from jobs_grpc.client.cli.exits import Exit
from jobs_grpc.client.cli.failures import Failure
from jobs_grpc.client.cli.options import Command, Group, Settings, pass_settings

if TYPE_CHECKING:
    from jobs_grpc.client.importing.draft import Draft, Imported, Options

# A crontab, a unit or a manifest is never longer; what is, was named by mistake.
_LARGEST: Final = 4 * 1024 * 1024
_ZONE_FILE: Final = Path("/etc/timezone")
_ZONE_LINK: Final = Path("/etc/localtime")


class _How(NamedTuple):
    """What the options of all three commands say."""

    settings: Settings
    into: str | None
    force: bool
    strict: bool
    options: Options


@click.group("import", cls=Group)
def import_() -> None:
    """Make job files of crontabs, systemd timers or Kubernetes CronJobs.

    What changes in meaning is reported on standard error.
    """


def _shared(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that all sources have."""
    for option in reversed(
        [
            click.option(
                "--into",
                metavar="DIR",
                help="Write one file for each job into this folder, made if need be.",
            ),
            click.option(
                "--force", is_flag=True, help="With --into: replace files that exist."
            ),
            click.option(
                "--timezone",
                metavar="ZONE",
                help="The zone of the host that the source is from; this host's if"
                " left out.",
            ),
            click.option(
                "--job-timeout",
                default="1d",
                show_default=True,
                metavar="DURATION",
                help="How long a run may take that had no limit.",
            ),
            click.option(
                "--strict",
                is_flag=True,
                help="End with code 1 if something was not imported.",
            ),
        ]
    ):
        command = option(command)
    return command


@import_.command(cls=Command)
@click.argument("source", metavar="FILE|DIR|-")
@_shared
@click.option(
    "--system/--user-crontab",
    default=None,
    help="Lines have a user column, or have none; guessed from the path if left out.",
)
@click.option(
    "--overlap",
    type=click.Choice(["skip", "allow"]),
    default="skip",
    show_default=True,
    help="What a due time does while the last run goes on; cron's way is allow.",
)
@pass_settings
def crontab(
    settings: Settings,
    /,
    source: str,
    system: bool | None,
    overlap: str,
    **more: Any,
) -> None:
    """Import a crontab, or a folder of them such as /etc/cron.d."""
    from jobs_grpc.client.importing.crontab import import_crontab
    from jobs_grpc.client.importing.draft import Imported
    from jobs_grpc.client.importing.naming import Names

    how = _how(settings, overlap=overlap, **more)
    names, found = Names(), Imported()
    for origin, text in _texts(source).items():
        found.extend(
            [
                import_crontab(
                    text,
                    origin=origin,
                    options=how.options,
                    system=_has_users(origin) if system is None else system,
                    names=names,
                )
            ]
        )
    _conclude(how, found)


@import_.command(cls=Command)
@click.argument("source", metavar="FILE|DIR")
@_shared
@pass_settings
def systemd(settings: Settings, /, source: str, **more: Any) -> None:
    """Import systemd timers with their services.

    FILE is one .timer with its service beside it, DIR a folder of units; drop-ins
    (NAME.timer.d/*.conf) are read too.
    """
    from jobs_grpc.client.importing.naming import Names
    from jobs_grpc.client.importing.systemd import import_units

    how = _how(settings, **more)
    path = Path(source)
    folder, only = (path, "") if path.is_dir() else (path.parent, path.name)
    if only and (not only.endswith(".timer") or not path.is_file()):
        problem = "there is no such file" if not path.exists() else "is not a .timer"
        raise Failure(f"{source}: {problem}", Exit.USAGE)
    files = {
        str(one.relative_to(folder)): _text(one)
        for pattern in (
            "*.timer",
            "*.service",
            "*.timer.d/*.conf",
            "*.service.d/*.conf",
        )
        for one in sorted(folder.glob(pattern))
        if one.is_file()
    }
    found = import_units(
        files,
        origin="" if folder == Path() else str(folder),
        options=how.options,
        names=Names(),
        only=only,
    )
    _conclude(how, found)


@import_.command(cls=Command)
@click.argument("source", metavar="FILE|DIR|-")
@_shared
@pass_settings
def kubernetes(settings: Settings, /, source: str, **more: Any) -> None:
    """Import CronJobs from manifests.

    As `kubectl get cronjobs -o yaml` prints them; images are not run, their commands are.
    """
    from jobs_grpc.client.importing.draft import Imported
    from jobs_grpc.client.importing.kubernetes import import_manifests
    from jobs_grpc.client.importing.naming import Names

    more["timezone"] = more["timezone"] or "UTC"
    how = _how(settings, **more)
    names, found = Names(), Imported()
    texts = _texts(source, suffixes=(".yaml", ".yml", ".json"))
    for origin, text in texts.items():
        found.extend(
            [import_manifests(text, origin=origin, options=how.options, names=names)]
        )
    _conclude(how, found)


def _how(
    settings: Settings,
    *,
    into: str | None,
    force: bool,
    timezone: str | None,
    job_timeout: str,
    strict: bool,
    overlap: str = "skip",
) -> _How:
    from jobs_grpc.client.importing.draft import Options
    from jobs_grpc.schedule import RuleError, parse_duration, parse_schedule

    zone = timezone or _host_zone()
    try:
        parse_schedule("every 1d", default_timezone=zone)
    except RuleError as error:
        raise Failure(error.message, Exit.USAGE) from None
    try:
        if parse_duration(job_timeout) <= 0:
            raise Failure("--job-timeout must be longer than zero", Exit.USAGE)
    except RuleError as error:
        raise Failure(f"--job-timeout: {error.message}", Exit.USAGE) from None
    said = settings.namespace if settings.namespace != "default" else ""
    options = Options(
        timezone=zone, overlap=overlap, timeout=job_timeout, namespace=said
    )
    return _How(settings, into, force, strict, options)


def _conclude(how: _How, found: Imported) -> None:
    """Check what was found against the rules of job files, write it, report."""
    from jobs_grpc.client.importing.draft import Kind
    from jobs_grpc.client.importing.settling import settle
    from jobs_grpc.client.importing.writing import job_file

    settle(found)
    texts = {draft.name: job_file(draft) for draft in found.drafts}
    for name, text in texts.items():
        _check(name, text)
    paths = _write(how, texts) if how.into is not None else {}
    settings = how.settings
    notes = found.all_notes()
    if settings.is_data:
        data = [_shown(draft, paths) for draft in found.drafts]
        report = [one.to_json() for one in notes]
        print_document(settings, {"data": data, "notes": report})
    elif settings.output == "name":
        for name in texts:
            click.echo(name)
    elif how.into is None:
        click.echo("---\n".join(texts.values()), nl=False)
    else:
        for path in paths.values():
            click.echo(f"written   {path}")
    if not settings.is_data:
        for one in notes:
            note(str(one))
    refused = sum(one.kind is Kind.REFUSED for one in notes)
    jobs = f"{len(texts)} job{'s' if len(texts) != 1 else ''}"
    note(f"{jobs} imported, {refused} not imported, {len(notes)} notes")
    if refused and how.strict:
        raise Failure(f"{refused} not imported (--strict)")


def _shown(draft: Draft, paths: dict[str, str]) -> dict[str, Any]:
    return {
        "name": draft.name,
        "place": draft.place,
        "file": paths.get(draft.name),
        "document": draft.document,
    }


def _check(name: str, text: str) -> None:
    """Read the file as every other command will."""
    from jobs_grpc.jobfile import ProblemsError, load_text

    try:
        load_text(text, origin=f"{name}.yaml")
    except ProblemsError as error:
        raise AssertionError(f"the file of {name} is not valid: {error}") from error


def _write(how: _How, texts: dict[str, str]) -> dict[str, str]:
    assert how.into is not None
    folder = Path(how.into)
    paths = {name: folder / f"{name}.yaml" for name in texts}
    existing = [str(path) for path in paths.values() if path.exists()]
    if existing and not how.force:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise Failure(
            f"{existing[0]}{more}: exists already; nothing was written",
            Exit.CONFLICT,
            "--force replaces it, --into another folder keeps it",
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name, path in paths.items():
        path.write_text(texts[name], encoding="utf-8")
    return {name: str(path) for name, path in paths.items()}


def _texts(source: str, suffixes: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the texts of a file, of standard input, or of the files of a folder."""
    if source == "-":
        return {"-": _decoded(sys.stdin.buffer.read(_LARGEST + 1), "-")}
    path = Path(source)
    if not path.is_dir():
        return {source: _text(path)}
    found = [
        one
        for one in sorted(path.iterdir())
        if one.is_file()
        and not one.name.startswith(".")
        and (one.suffix in suffixes if suffixes else _is_crontab(one.name))
    ]
    if not found:
        raise Failure(f"{source}: there is nothing to import here", Exit.NOT_FOUND)
    return {str(one): _text(one) for one in found}


def _is_crontab(name: str) -> bool:
    """Say whether cron reads this file of a folder: it passes over names with dots."""
    return all(one.isalnum() or one in "_-" for one in name)


def _has_users(origin: str) -> bool:
    path = Path(origin)
    return path.parent.name == "cron.d" or path == Path("/etc/crontab")


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return _decoded(file.read(_LARGEST + 1), str(path))
    except IsADirectoryError:
        raise Failure(f"{path}: is a directory", Exit.USAGE) from None
    except FileNotFoundError:
        raise Failure(f"{path}: there is no such file", Exit.NOT_FOUND) from None


def _decoded(content: bytes, origin: str) -> str:
    if len(content) > _LARGEST:
        raise Failure(f"{origin}: is larger than 4 MiB", Exit.USAGE)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Failure(f"{origin}:{line}: is not UTF-8", Exit.USAGE) from None


def _host_zone() -> str:
    """Return the zone of this host, as well as can be told."""
    if zone := os.environ.get("TZ", "").removeprefix(":"):
        return zone
    try:
        _, marker, zone = str(_ZONE_LINK.resolve()).partition("zoneinfo/")
        if marker:
            return "UTC" if zone == "Etc/UTC" else zone
        if zone := _ZONE_FILE.read_text(encoding="utf-8").strip():
            return "UTC" if zone == "Etc/UTC" else zone
    except OSError:
        pass
    return "UTC"
