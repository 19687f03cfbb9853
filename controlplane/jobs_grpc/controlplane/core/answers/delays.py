"""Notes what keeps lines waiting while nobody asks, so that a trace can tell it later.

Slots that are all taken are the usual thing and leave no note: how long that took is seen
from when the execution began. Everything else is: no worker with the labels, all of them
cordoned, disks full, breakers open, queues paused.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Final

from jobs_grpc.controlplane.core.state.execution import Execution
from jobs_grpc.controlplane.core.state.gates import waits
from jobs_grpc.controlplane.core.state.reasons import Cause
from jobs_grpc.controlplane.core.waiting.lines import Line, Waiting, WaitingClass

from .explaining import Explainer

# Lines are looked at this often, and only so many each time: to know why one waits, every
# worker is asked.
EVERY: Final = 1_000_000
LINES: Final = 5
# So many of a line are told: those that will go on first, about.
TOLD: Final = 1_000
_USUAL: Final = {Cause.SLOTS_BUSY, Cause.NEXT}


@dataclass(slots=True)
class _Delay:
    """What keeps a line, and since when it was seen to."""

    cause: Cause | None
    text: str
    since: int


class Delays:
    """Looks at the waiting lines of a term, in turns."""

    def __init__(self, waiting: Waiting, explainer: Explainer) -> None:
        self._waiting = waiting
        self._explainer = explainer
        self._looked_at: int | None = None
        self._known: dict[tuple[str, Line], _Delay] = {}
        self._turn = 0

    def look(self, now: int) -> None:
        """Look at some lines, if it is time to.

        No step is made for this alone: while nobody is there, nothing changes, and what
        ends the waiting is itself a step.
        """
        if self._looked_at is not None and 0 <= now - self._looked_at < EVERY:
            return
        self._looked_at = now
        lines = {
            (queue.name, line): one
            for queue in self._waiting.queues.values()
            for line, one in queue.classes.items()
        }
        for key in self._known.keys() - lines.keys():
            del self._known[key]
        names = list(lines)
        for offset in range(min(LINES, len(names))):
            key = names[(self._turn + offset) % len(names)]
            self._look_at(key, lines[key], now)
        self._turn += LINES

    def _look_at(self, key: tuple[str, Line], line: WaitingClass, now: int) -> None:
        head = line.head()
        if head is None or now - _waits_since(head[2]) < EVERY:
            return
        reason = self._explainer.why_waiting(head[2])
        known = self._known.get(key)
        if reason.cause in _USUAL:
            self._known[key] = _Delay(None, "", now)
            return
        if known is None or known.cause is not reason.cause:
            # Not seen to be otherwise, so it has been like this from the beginning.
            since = 0 if known is None else known.since if known.cause is None else now
            known = self._known[key] = _Delay(reason.cause, reason.text, since)
        for _, _, execution in islice(line.heap, TOLD):
            if waits(execution):
                since = max(known.since, _waits_since(execution))
                execution.note_wait(f"because {known.text}", since)


def _waits_since(execution: Execution) -> int:
    """Return when its present waiting began."""
    if execution.retry is None:
        return execution.waits_from
    return max(execution.waits_from, execution.retry.due_at)
