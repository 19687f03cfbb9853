"""What can happen to an execution besides its states: the kinds of its events.

A plain execution has none: its decision, its row and its output say everything. An event
is written only where somebody may later ask why; `execution trace` puts them in order.

| kind | when | details |
|---|---|---|
| `leased` | any attempt but the first is given to a worker | attempt, fence, worker |
| `released` | a lease was taken back and the execution waits again | attempt, fence, worker, reason |
| `lost` | the end of an attempt that may have run is not known | attempt, fence, worker, reason |
| `resolved` | a late result of the lost attempt was believed | attempt, fence, worker, state |
| `retry_scheduled` | a failed attempt is tried again | attempt, reason, delay, due_at |
| `cancel_asked` | its end was asked for while it ran or waited | reason |
| `report_refused` | a report of a superseded attempt came in | fence, report, worker |
| `waited` | something besides full slots kept it waiting | reason (for … or because …), from, until |
| `drained` | its worker was drained before it ended | worker |
| `dead_lettered` | it failed for good and was put among the dead letters | reason |
| `fallback_started` | its job's fallback was started | id |
| `fallback_failed` | its job's fallback could not be started | reason |
| `timed_out` | a limit of the job was reached: attempt, silence, queue, total | which, reason |
"""

from __future__ import annotations

from enum import StrEnum


class Event(StrEnum):
    """What happened; the table is above."""

    LEASED = "leased"
    RELEASED = "released"
    LOST = "lost"
    RESOLVED = "resolved"
    RETRY_SCHEDULED = "retry_scheduled"
    CANCEL_ASKED = "cancel_asked"
    REPORT_REFUSED = "report_refused"
    WAITED = "waited"
    DRAINED = "drained"
    TIMED_OUT = "timed_out"
    DEAD_LETTERED = "dead_lettered"
    FALLBACK_STARTED = "fallback_started"
    FALLBACK_FAILED = "fallback_failed"
