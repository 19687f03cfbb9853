"""Which time zone data the due times were computed with.

Due times are computed anew in every term, so newer data holds from the next start on.
That is announced: a government that moved a clock has moved jobs, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from jobs_grpc.controlplane.core.rows.changes import MetaRow
from jobs_grpc.controlplane.core.state.draft import Draft
from jobs_grpc.controlplane.core.state.effects import TimeZonesChanged

KEY: Final = "tzdata"


@dataclass(slots=True)
class Zones:
    """The version that the store knows, and the one in use; empty if not known."""

    stored: str = ""
    current: str = ""

    def note(self, draft: Draft, schedules: int) -> None:
        """Remember the version in use, and say so where it is another one."""
        if not self.current or self.current == self.stored:
            return
        draft.meta.append(MetaRow(KEY, self.current))
        if self.stored:
            draft.facts.append(TimeZonesChanged(self.stored, self.current, schedules))
        self.stored = self.current
