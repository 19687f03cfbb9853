"""What the journal says, as JSON arrays.

========  =====================================================  =======================
mark      content                                                written
========  =====================================================  =======================
``h``     the boot of the host that writes what follows          first in a segment
``b``     tickets of attempts that begin, when and where         before they begin
``e``     fences and results of attempts                         before the first report
``a``     instant and fences of acknowledged results             soon
``f``     fences that are forgotten                              soon
========  =====================================================  =======================

Only an ``e`` needs to be on disk before anything follows from it. A lost ``b`` means that
the host went down, and with it whatever had begun; a lost ``a`` or ``f`` makes the leader
say again what it has said before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from jobs_grpc.worker.attempts.attempt import Attempt, Ticket
from jobs_grpc.worker.journal.frames import frame
from jobs_grpc.worker.work import Outcome, Receipt, Result, SignalSent, Usage

_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
# Far below what a frame may hold.
_ENTRY_BYTES: Final = 1024 * 1024
_ENTRY_ROWS: Final = 1_000
_OUTCOMES: Final[Mapping[str, Outcome]] = {one.value: one for one in Outcome}


def header(boot_id: str) -> bytes:
    """Return the entry that a segment begins with."""
    return frame(_encode(["h", boot_id]).encode())


def begun(attempts: Iterable[Attempt]) -> bytes:
    """Return the entry that says that these attempts begin."""
    rows = [(one.started_at, one.place, *one.ticket) for one in attempts]
    return frame(_encode(["b", rows]).encode())


def ended(attempts: Iterable[Attempt]) -> bytes:
    """Return the entries of results; few for many, since each has its overhead."""
    entries: list[bytes] = []
    rows: list[object] = []
    size = 0
    for attempt in attempts:
        assert attempt.result is not None
        rows.append((attempt.fence, *attempt.result))
        size += len(attempt.result.result_json)
        if size > _ENTRY_BYTES or len(rows) == _ENTRY_ROWS:
            entries.append(_rows(rows))
            rows, size = [], 0
    if rows:
        entries.append(_rows(rows))
    return b"".join(entries)


def _rows(rows: list[object]) -> bytes:
    return frame(_encode(["e", rows]).encode())


def acknowledged(at: int, fences: Iterable[int]) -> bytes:
    """Return the entry that says that the leader has these results."""
    return frame(_encode(["a", at, *fences]).encode())


def forgotten(fences: Iterable[int]) -> bytes:
    """Return the entry that ends the story of these attempts."""
    return frame(_encode(["f", *fences]).encode())


@dataclass(slots=True)
class Memory:
    """What a journal remembers of one attempt."""

    ticket: Ticket
    started_at: int
    # The boot of the host in which it began.
    boot_id: str = ""
    # The number of its output directory.
    place: int = 0
    result: Result | None = None
    acknowledged_at: int | None = None


@dataclass(slots=True)
class Recollection:
    """What a journal remembers, built up entry by entry."""

    attempts: dict[int, Memory] = field(default_factory=dict)
    _boot_id: str = ""
    _by_place: dict[int, Memory] = field(default_factory=dict)

    def apply(self, payload: bytes) -> None:
        """Read one entry. What refers to an attempt not remembered is passed over."""
        mark, *rest = json.loads(payload)
        match mark:
            case "h":
                (self._boot_id,) = rest
            case "b":
                for started_at, place, *ticket in rest[0]:
                    new = Memory(Ticket(*ticket), started_at, self._boot_id)
                    # A rewritten journal says again what an older segment said.
                    self._give(place, self.attempts.setdefault(new.ticket.fence, new))
            case "e":
                for fence, *values in rest[0]:
                    if fence in self.attempts:
                        self.attempts[fence].result = _result(values)
            case "a":
                at, *fences = rest
                for fence in fences:
                    if fence in self.attempts:
                        self.attempts[fence].acknowledged_at = at
            case "f":
                for fence in rest:
                    self.attempts.pop(fence, None)

    def _give(self, place: int, memory: Memory) -> None:
        """A directory that is given again was given back by whoever had it before."""
        former = self._by_place.get(place)
        if place and former is not None:
            former.place = 0
        self._by_place[place] = memory
        memory.place = place


def _result(values: list[Any]) -> Result:
    result = Result(*values)
    usage = Usage(*values[9]) if values[9] is not None else None
    receipt = None
    if values[10] is not None:
        signals, survivors, output_leaked = values[10]
        receipt = Receipt(
            tuple(SignalSent(*sent) for sent in signals),
            tuple(survivors),
            output_leaked,
        )
    return result._replace(outcome=_OUTCOMES[values[0]], usage=usage, receipt=receipt)
