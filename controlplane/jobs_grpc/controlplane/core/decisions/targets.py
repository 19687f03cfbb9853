"""Is there a worker that a job could run on at all?

Asked only for jobs that would rather skip a due time than have it wait for one. A term
learns of the workers as they come back to it, so until each had its session's whole time
to do so, nobody is said to be missing.
"""

from __future__ import annotations

from jobs_grpc.controlplane.core.state.job import JobSpec
from jobs_grpc.controlplane.core.state.live import Live
from jobs_grpc.controlplane.core.waiting.lines import is_eligible

NO_TARGET = "no_target"


class Targets:
    """The workers of a term, as far as jobs may miss them."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._all_known_at = 0

    def begin(self, all_known_at: int) -> None:
        """Say when all workers of earlier terms have come back that ever will."""
        self._all_known_at = all_known_at

    def are_missing(self, spec: JobSpec, now: int) -> bool:
        """Say whether no worker could ever take an execution of the job.

        A busy, cordoned or disconnected one is a worker still: there its run can wait.
        """
        if now < self._all_known_at:
            return False
        return not any(
            is_eligible(session, spec.place) and session.slots >= spec.slots
            for session in self._live.sessions.values()
        )
