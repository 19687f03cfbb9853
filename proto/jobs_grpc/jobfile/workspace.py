"""The workspace file: jobs that share a directory and variables.

A document with the key `jobs` is a workspace. Its jobs are ordinary job documents that
need not name it; what the workspace says holds for all of them:

- its name and namespace are theirs, and they may not name others;
- its variables are values for their placeholders;
- its calendars are there for their schedules, which get those that they name;
- while it is disabled, so are they: no schedule starts them.

What is left of it after loading is its jobs; the server has no workspace document.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from jobs_grpc.jobfile.part.complaint import Complaint, shown
from jobs_grpc.jobfile.part.names import DEFAULT_NAMESPACE, Name
from jobs_grpc.jobfile.part.pending import PendingAny
from jobs_grpc.jobfile.part.text import Text, Variables
from jobs_grpc.jobfile.part.timing import Calendars, mentioned

_PENDING = "Not supported yet."


class WorkspaceDocument(BaseModel):
    """A workspace file."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="Workspace")

    name: Annotated[
        Name,
        Field(
            description=(
                "The name of the workspace. Default: the name of the file without its "
                "suffix."
            )
        ),
    ]
    namespace: Annotated[
        Name,
        Field(
            description=(
                "The team or company that owns the workspace and its jobs. Default: the "
                'namespace of the context, else "default".'
            )
        ),
    ] = DEFAULT_NAMESPACE
    enabled: Annotated[
        StrictBool,
        Field(
            description=(
                "false: no schedule starts any job of the workspace. Default: true."
            )
        ),
    ] = True
    description: Annotated[
        Text,
        Field(description="What the workspace is for; for people. Default: empty."),
    ] = ""
    variables: Annotated[
        Variables,
        Field(
            description=(
                "Values for the placeholders of the jobs: {{name}}. Default: none."
            )
        ),
    ] = Field(default_factory=dict)
    calendars: Annotated[
        Calendars,
        Field(
            description=(
                "Named days for the schedules of the jobs: {holidays: [2026-12-25]}. A "
                "job may define more. Default: none."
            )
        ),
    ] = Field(default_factory=dict)
    jobs: Annotated[
        list[dict[str, Any]],
        Field(description="The jobs of the workspace: job documents. Required."),
    ]
    deploy_schedule: Annotated[PendingAny, Field(description=_PENDING)] = None
    destroy_schedule: Annotated[PendingAny, Field(description=_PENDING)] = None
    custom_deploy: Annotated[PendingAny, Field(description=_PENDING)] = None
    custom_destroy: Annotated[PendingAny, Field(description=_PENDING)] = None
    mode_schedules: Annotated[PendingAny, Field(description=_PENDING)] = None
    template: Annotated[PendingAny, Field(description=_PENDING)] = None


def is_workspace(value: Mapping[object, object]) -> bool:
    """Whether a document is a workspace rather than a job."""
    return "jobs" in value


def job_in_workspace(
    raw: Mapping[str, Any], *, workspace: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Complaint]]:
    """Return the job document that an entry of `jobs` stands for.

    `workspace` is the document of the workspace as far as it is valid.
    """
    job = dict(raw)
    found = []
    for key, value in (
        ("workspace", workspace.get("name")),
        ("namespace", workspace.get("namespace")),
    ):
        if job.get(key, value) != value:
            message = f"must be that of the workspace file, {shown(value)}, or left out"
            found.append(Complaint((key,), message))
        if value is not None:
            job[key] = value
    if "variables" in job:
        message = "belongs to the workspace, beside `jobs`"
        found.append(Complaint(("variables",), message))
    if workspace.get("variables"):
        job["variables"] = workspace["variables"]
    else:
        job.pop("variables", None)
    calendars = mentioned(workspace.get("calendars") or {}, job.get("schedule"))
    if calendars and isinstance(job.get("calendars", {}), Mapping):
        job["calendars"] = {**calendars, **job.get("calendars", {})}
    if workspace.get("enabled") is False and job.get("enabled", True) is True:
        job["enabled"] = False
    return job, found
