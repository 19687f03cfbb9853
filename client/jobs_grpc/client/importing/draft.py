"""What an importer finds: drafts of jobs, and notes on what changes in meaning."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, TypeAlias


class Kind(StrEnum):
    """What a note is about."""

    # It means something else than before.
    CHANGED = "changed"
    # It is not carried over; the job runs without it.
    DROPPED = "dropped"
    # No job was made of it.
    REFUSED = "not imported"
    # It looks as if it would change, and does not.
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Note:
    """One line of the report. `place` is `file:line`, or the name of the thing."""

    place: str
    kind: Kind
    topic: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.kind}: {self.topic}: {self.message}"

    def to_json(self) -> dict[str, Any]:
        return {
            "place": self.place,
            "kind": self.kind.value,
            "topic": self.topic,
            "message": self.message,
        }


@dataclass(frozen=True, slots=True)
class Offer:
    """A key that says more, if job files know it; otherwise the note is said.

    `path` leads into the document: ("retry",) or ("schedule", "jitter").
    """

    path: tuple[str, ...]
    value: object
    otherwise: Note


@dataclass(slots=True, kw_only=True)
class Draft:
    """A job to be: its document as plain data, and what could not be put into it."""

    document: dict[str, Any]
    place: str
    # What it was made of, for the comment at its head.
    source: str
    notes: list[Note] = field(default_factory=list)
    offers: list[Offer] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.document["name"])

    def note(self, kind: Kind, topic: str, message: str) -> None:
        self.notes.append(Note(self.place, kind, topic, message))

    def offer(self, path: tuple[str, ...], value: object, message: str) -> None:
        """Give the document a key, or say in `message` what is lost without it."""
        missing = Note(self.place, Kind.DROPPED, path[-1], message)
        self.offers.append(Offer(path, value, missing))


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the sources leave open.

    `timezone` is the zone of the host that the source is from. `timeout` is given to
    jobs that had no limit: every execution here has one.
    """

    timezone: str = "UTC"
    overlap: str = "skip"
    timeout: str = "1d"
    namespace: str = ""


@dataclass(slots=True)
class Imported:
    """All that was found in a source. `notes` are those of no single job."""

    drafts: list[Draft] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def all_notes(self) -> list[Note]:
        return [*self.notes, *(note for draft in self.drafts for note in draft.notes)]

    def extend(self, others: Iterable[Imported]) -> None:
        for other in others:
            self.drafts += other.drafts
            self.notes += [note for note in other.notes if note not in self.notes]


Entry: TypeAlias = str | dict[str, Any]
# Names of variables that every execution is given, and no job can set.
RESERVED: Final = ("JOB_NAME", "WORKSPACE_ID")


def is_reserved(variable: str) -> bool:
    """Say whether the product sets a variable itself."""
    return variable in RESERVED or variable.startswith("JOBS_")


def timezone_note(place: str, zone: str) -> Note:
    """Return the note on the zone of the host, which only the user can know."""
    return Note(
        place,
        Kind.CHANGED,
        "zone",
        f"it ran in the zone of its host, which no file names; imported in {zone}"
        " (--timezone says another)",
    )
