"""What a backfill goes by: schedules as its job had them when it began.

Kept as a list of ids. Those of the job's document are found in the pinned revision, those
that the API made carry their entry along, so neither an edit nor a removal in between
changes which due times a backfill has.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from jobs_grpc.controlplane.core.state.job import JobSpec, ScheduleSpec
from jobs_grpc.controlplane.core.state.live import Schedule

from .specs import schedule_of


def kept(schedules: Sequence[Schedule]) -> str:
    """Return the schedules as a backfill keeps them."""
    return json.dumps(
        [
            {
                "id": one.spec.id,
                "name": one.spec.name,
                "entry": one.object.entry_json if one.object else "",
            }
            for one in schedules
        ]
    )


def read_kept(text: str, spec: JobSpec) -> tuple[ScheduleSpec, ...]:
    """Return the schedules; `spec` is the pinned revision of the job.

    Raises:
        ValueError, KeyError: they cannot be understood.
    """
    of_document = {one.id: one for one in spec.schedules}
    return tuple(
        schedule_of(spec.key, json.loads(one["entry"]))
        if one["entry"]
        else of_document[one["id"]]
        for one in json.loads(text)
    )
