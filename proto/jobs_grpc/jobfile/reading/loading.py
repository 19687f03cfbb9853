"""From a text to job documents, with every problem at its place.

`load_text` and `load_path` either return all jobs of a text or raise all its problems;
a file is never half loaded.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from pydantic import BaseModel
from pydantic_core import ErrorDetails, ValidationError

from jobs_grpc.jobfile.document import JobDocument
from jobs_grpc.jobfile.part.complaint import Loc
from jobs_grpc.jobfile.part.names import DEFAULT_NAMESPACE, STANDALONE
from jobs_grpc.jobfile.part.timing import entry_path
from jobs_grpc.jobfile.problem import Problem, ProblemsError
from jobs_grpc.jobfile.reading.json_text import read_json
from jobs_grpc.jobfile.reading.source import (
    LARGEST_FILE,
    Parsed,
    Place,
    Source,
    Spot,
    Spots,
    decode,
    too_large,
)
from jobs_grpc.jobfile.reading.toml_text import read_toml
from jobs_grpc.jobfile.reading.wording import field_name, own_path, sentence
from jobs_grpc.jobfile.reading.yaml_text import read_yaml
from jobs_grpc.jobfile.workspace import (
    WorkspaceDocument,
    is_workspace,
    job_in_workspace,
)

Format: TypeAlias = Literal["json", "yaml", "toml"]

SUFFIXES: Final[Mapping[str, Format]] = {
    ".json": "json",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".toml": "toml",
}
"""The files that are job files, by the end of their names."""

MOST_PROBLEMS: Final = 100
"""Problems that are reported of one text; what has more is not a job file with slips."""

_READERS: Final[
    Mapping[Format, Callable[[Source], tuple[list[Parsed], list[Problem]]]]
] = {"json": read_json, "yaml": read_yaml, "toml": read_toml}


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What a document means that leaves these keys out."""

    namespace: str = DEFAULT_NAMESPACE
    workspace: str = STANDALONE


@dataclass(frozen=True, slots=True)
class LoadedJob:
    """A job, and where it was read: the name of the text and the line it begins in."""

    document: JobDocument
    origin: str
    line: int = 1
    # Makes a problem of a path in the document; for what shows only beside other jobs.
    _place: Callable[[Loc, str], Problem] | None = field(
        default=None, repr=False, compare=False
    )

    @property
    def key(self) -> tuple[str, str, str]:
        """What is unique among all jobs: namespace, workspace, name."""
        return (self.document.namespace, self.document.workspace, self.document.name)

    def problem(self, loc: Loc, message: str) -> Problem:
        """Return a problem of the job at its place; schedules are given as a list."""
        if self._place is None:
            return Problem(self.origin, self.line, 1, field_name(loc), message)
        return self._place(loc, message)


def load_text(
    text: str | bytes,
    *,
    origin: str,
    format: Format | None = None,  # noqa: A002 - the word that callers look for
    defaults: Defaults = Defaults(),
) -> list[LoadedJob]:
    """Return the jobs of a text.

    `origin` names the text in problems. Without a format it is guessed, from the suffix
    of `origin`, else from the text.

    Raises:
        ProblemsError: something is wrong with it; all of it is said.
    """
    if isinstance(text, str):
        text = text.encode("utf-8", "surrogatepass")
    source = decode(text, origin)
    if isinstance(source, Problem):
        raise ProblemsError([source])
    parsed, problems = _READERS[format or _guess(source)](source)
    jobs: list[LoadedJob] = []
    for document in parsed:
        loader = _Loader(source, document, defaults)
        jobs += loader.jobs()
        problems += loader.problems
        if len(problems) > MOST_PROBLEMS:
            break
    problems += repeated_names(jobs)[1]
    if len(problems) > MOST_PROBLEMS:
        message = f"there are more problems than these {MOST_PROBLEMS}"
        problems[MOST_PROBLEMS:] = [Problem(origin, None, None, "", message)]
    if problems:
        raise ProblemsError(problems)
    return jobs


def load_path(
    path: str | Path,
    *,
    defaults: Defaults = Defaults(),
) -> list[LoadedJob]:
    """Return the jobs of a file; its suffix says how to read it.

    Raises:
        ProblemsError: it cannot be read, or something in it is wrong.
    """
    path = Path(path)
    origin = str(path)
    suffix = SUFFIXES.get(path.suffix.lower())
    content = _content(path)
    if suffix is None:
        names = ", ".join(SUFFIXES)
        raise _unusable(origin, f"the name of a job file ends in {names}")
    return load_text(content, origin=origin, format=suffix, defaults=defaults)


def parse_document(data: Mapping[str, Any], *, origin: str = "") -> JobDocument:
    """Return the document of a value that is read already, as the server is sent it.

    Raises:
        ProblemsError: something is wrong with it; the problems have no places.
    """
    try:
        return JobDocument.model_validate(data)
    except ValidationError as error:
        raise ProblemsError(
            Problem(
                origin, None, None, field_name(own_path(e)[0]), sentence(e, JobDocument)
            )
            for e in error.errors(include_url=False)[:MOST_PROBLEMS]
        ) from None


def repeated_names(
    jobs: Iterable[LoadedJob],
) -> tuple[list[LoadedJob], list[Problem]]:
    """Return the jobs whose names come first, and a problem for each of the others."""
    first: dict[tuple[str, str, str], LoadedJob] = {}
    problems = []
    for job in jobs:
        other = first.setdefault(job.key, job)
        if other is not job:
            name = "/".join(job.key)
            message = f'"{name}" is also the name of the job in {_place_of(other)}'
            problems.append(Problem(job.origin, job.line, 1, "name", message))
    return list(first.values()), problems


def _place_of(job: LoadedJob) -> str:
    return f"{job.origin}:{job.line}"


def _content(path: Path) -> bytes:
    origin = str(path)
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            kind = "a directory" if stat.S_ISDIR(found.st_mode) else "a device or pipe"
            raise _unusable(origin, f"is {kind}, not a job file")
        with path.open("rb") as file:
            # One byte more than allowed tells a large file from a largest one, without
            # trusting the size of something that may be growing.
            content = file.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        raise _unusable(origin, "there is no such file") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise _unusable(origin, f"cannot be read: {reason}") from None
    if len(content) > LARGEST_FILE:
        raise ProblemsError([too_large(origin, max(found.st_size, len(content)))])
    return content


def _unusable(origin: str, message: str) -> ProblemsError:
    return ProblemsError([Problem(origin, None, None, "", message)])


def _guess(source: Source) -> Format:
    suffix = SUFFIXES.get(Path(source.origin).suffix.lower())
    if suffix is not None:
        return suffix
    # Only JSON begins with a brace; YAML may, and is then JSON to nearly everyone.
    return "json" if source.text.lstrip()[:1] in {"{", "["} else "yaml"


class _Loader:
    """Validates one value of a text and places what is wrong with it."""

    def __init__(self, source: Source, parsed: Parsed, defaults: Defaults) -> None:
        self.problems: list[Problem] = []
        self._source = source
        self._parsed = parsed
        self._defaults = defaults
        self._known_spots: Spots | None = None

    def jobs(self) -> list[LoadedJob]:
        value = self._parsed.value
        if not isinstance(value, dict):
            self._place((), "a job file holds an object: keys with values")
            return []
        if is_workspace(value):
            return self._workspace_jobs(value)
        return self._job(self._with_defaults(value), (), self._parsed.line)

    def _with_defaults(self, value: dict[str, Any]) -> dict[str, Any]:
        return {
            "namespace": self._defaults.namespace,
            "workspace": self._defaults.workspace,
            **value,
        }

    def _workspace_jobs(self, value: dict[str, Any]) -> list[LoadedJob]:
        workspace = {
            "name": Path(self._source.origin).stem,
            "namespace": self._defaults.namespace,
            **value,
        }
        try:
            WorkspaceDocument.model_validate(workspace)
        except ValidationError as error:
            self._place_errors(error.errors(include_url=False), (), WorkspaceDocument)
            wrong = {e["loc"][0] for e in error.errors(include_url=False)}
            workspace = {k: v for k, v in workspace.items() if k not in wrong}
        jobs: list[LoadedJob] = []
        entries = value["jobs"] if isinstance(value["jobs"], list) else []
        for index, entry in enumerate(entries):
            if len(self.problems) > MOST_PROBLEMS:
                break
            if isinstance(entry, dict):
                jobs += self._workspace_job(entry, ("jobs", index), workspace)
        return jobs

    def _workspace_job(
        self, entry: dict[str, Any], loc: Loc, workspace: dict[str, Any]
    ) -> list[LoadedJob]:
        # A fault of the workspace is reported once, not again with each of its jobs.
        fallback = {"name": "workspace", **workspace}
        job, found = job_in_workspace(entry, workspace=fallback)
        for complaint in found:
            self._place((*loc, *complaint.loc), complaint.message)
        return self._job(job, loc, self._spot(loc)[0].value.line)

    def _job(self, raw: dict[str, Any], loc: Loc, line: int) -> list[LoadedJob]:
        try:
            document = JobDocument.model_validate(raw)
        except ValidationError as error:
            self._place_errors(error.errors(include_url=False), loc, JobDocument)
            return []
        place = partial(self._later, raw, loc)
        return [LoadedJob(document, self._source.origin, line, place)]

    def _later(
        self, raw: dict[str, Any], prefix: Loc, loc: Loc, message: str
    ) -> Problem:
        """Return a problem that is found when the text has long been read."""
        if len(loc) > 1 and loc[0] == "schedule" and isinstance(loc[1], int):
            loc = (*entry_path(raw.get("schedule"), loc[1]), *loc[2:])
        loc = (*prefix, *loc)
        return self._source.problem(message, self._spot(loc)[0].value, field_name(loc))

    def _place_errors(
        self, errors: list[ErrorDetails], prefix: Loc, model: type[BaseModel]
    ) -> None:
        for error in errors[: MOST_PROBLEMS + 1]:
            loc, is_about_key = own_path(error)
            offset = error.get("ctx", {}).get("offset")
            self._place(
                (*prefix, *loc),
                sentence(error, model),
                at_key=is_about_key,
                offset=offset,
            )

    def _place(
        self,
        loc: Loc,
        message: str,
        *,
        at_key: bool = False,
        offset: int | None = None,
    ) -> None:
        spot, is_exact = self._spot(loc)
        place = spot.value
        if at_key and is_exact and spot.key is not None:
            place = spot.key
        elif offset is not None and is_exact:
            place = self._inside(place, loc, offset)
        self.problems.append(self._source.problem(message, place, field_name(loc)))

    def _inside(self, place: Place, loc: Loc, offset: int) -> Place:
        value = self._parsed.value
        for part in loc:
            if not isinstance(value, dict | list):
                return place
            value = value[part]  # type: ignore[index]
        return (
            self._source.inside(place, value, offset)
            if isinstance(value, str)
            else place
        )

    def _spot(self, loc: Loc) -> tuple[Spot, bool]:
        """Return where `loc` stands, or what is nearest around it."""
        if self._known_spots is None:
            self._known_spots = self._parsed.spots()
        for length in range(len(loc), -1, -1):
            if (spot := self._known_spots.get(loc[:length])) is not None:
                return spot, length == len(loc)
        return Spot(Place(self._parsed.line, 1)), False
