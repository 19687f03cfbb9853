"""What a schedule is beyond the document of its job: made, or switched, through the API."""

from __future__ import annotations

from dataclasses import dataclass

from jobs_grpc.controlplane.core.rows.schedules import ScheduleObjectRow


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleObject:
    """The durable part. Instants are microseconds.

    `entry_json` defines a schedule that the API owns; it is empty where the document does
    and this only switches it. `enabled` is what was said last, None where nothing was, or
    where it is what the definition says too.
    """

    entry_json: str = ""
    revision: int = 1
    enabled: bool | None = None
    disabled_reason: str = ""
    disabled_until: int | None = None
    created_at: int
    updated_at: int

    def row(self, schedule_id: str, job_id: int) -> ScheduleObjectRow:
        return ScheduleObjectRow(
            schedule_id,
            job_id,
            self.entry_json,
            self.revision,
            None if self.enabled is None else int(self.enabled),
            self.disabled_reason,
            self.disabled_until,
            self.created_at,
            self.updated_at,
        )


def object_of(row: ScheduleObjectRow) -> ScheduleObject:
    """Return what a row tells."""
    return ScheduleObject(
        entry_json=row.entry_json,
        revision=row.revision,
        enabled=None if row.enabled is None else bool(row.enabled),
        disabled_reason=row.disabled_reason,
        disabled_until=row.disabled_until,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
