"""The keys of a job document, with the help that editors and the documentation show.

Here is what a key may hold, what it means when it is left out, and its description for
people. What lies between keys, and what a document can answer, is in `document`.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictInt

from jobs_grpc.jobfile.parameter import Parameters
from jobs_grpc.jobfile.part.body import TYPES
from jobs_grpc.jobfile.part.breaker import Breakers
from jobs_grpc.jobfile.part.complaint import complain
from jobs_grpc.jobfile.part.concurrency import Concurrency
from jobs_grpc.jobfile.part.dependencies import Dependencies
from jobs_grpc.jobfile.part.fallback import Fallback
from jobs_grpc.jobfile.part.names import (
    DEFAULT_NAMESPACE,
    STANDALONE,
    FunctionName,
    Labels,
    Name,
    Program,
    Tags,
    WorkspaceName,
)
from jobs_grpc.jobfile.part.pending import (
    NOT_YET,
    PendingArtifacts,
    PendingNotifications,
    PendingRetention,
    PendingSteps,
    PendingText,
)
from jobs_grpc.jobfile.part.policy import Cancel, CatchUp, Limits, Overlap
from jobs_grpc.jobfile.part.quantity import PositiveDuration
from jobs_grpc.jobfile.part.quarantine import Quarantine
from jobs_grpc.jobfile.part.retry import Retry
from jobs_grpc.jobfile.part.target import ANYWHERE, Targets
from jobs_grpc.jobfile.part.text import (
    Argument,
    Command,
    Environment,
    Stated,
    Text,
    Variables,
)
from jobs_grpc.jobfile.part.timeouts import Timeouts
from jobs_grpc.jobfile.part.timing import Calendars, Schedules, Zone

Delivery: TypeAlias = Literal["at_most_once", "at_least_once"]

_PENDING = "Not supported yet."


def _built_type(kind: str) -> str:
    if kind not in TYPES:
        raise complain(f'"{kind}" {NOT_YET}')
    return kind


class JobKeys(BaseModel):
    """One job: what it runs, when, where, and within which limits."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="Job")

    name: Annotated[
        Name,
        Field(
            description=(
                "The handle of the job in every command; unique in its workspace. "
                "Required."
            )
        ),
    ]
    namespace: Annotated[
        Name,
        Field(
            description=(
                "The team or company that owns the job. Default: the namespace of the "
                'context, else "default".'
            )
        ),
    ] = DEFAULT_NAMESPACE
    workspace: Annotated[
        WorkspaceName,
        Field(
            description=(
                "The directory context that the job runs in. Default: the workspace "
                'file it stands in, else "_standalone_", which is no workspace.'
            )
        ),
    ] = STANDALONE
    description: Annotated[
        Text, Field(description="What the job is for; for people. Default: empty.")
    ] = ""
    labels: Annotated[
        Labels,
        Field(
            description=(
                "Names with values to select the job by, such as {team: dba}. "
                "Default: none."
            )
        ),
    ] = Field(default_factory=dict)
    tags: Annotated[
        Tags,
        Field(description="Labels without values, as a list. Default: none."),
    ] = Field(default_factory=dict)
    enabled: Annotated[
        StrictBool,
        Field(
            description=(
                "false: no schedule starts the job; by hand it still can be. "
                "Default: true."
            )
        ),
    ] = True
    type: Annotated[
        Literal["command", "script", "function", "template", "transfer", "workflow"],
        AfterValidator(_built_type),
        Field(
            description=(
                "How the job runs. Default: the one whose key is present, `command`, "
                "`script` or `function`."
            ),
            json_schema_extra={"enum": list(TYPES)},
        ),
    ] = "command"
    command: Annotated[
        Command,
        Field(
            description=(
                "What to run. Text is run by /bin/sh -c; a list is a program with its "
                "arguments and meets no shell. In a list {{name}} is replaced, in text "
                "it is not: hand values to a shell through `environment`."
            )
        ),
    ] = ""
    script: Annotated[
        Stated,
        Field(
            description=(
                "The text of a script. Its first line may say what runs it (#!...); "
                "else `interpreter` does. {{name}} is not replaced in it: hand values "
                "over through `environment`."
            )
        ),
    ] = ""
    interpreter: Annotated[
        Program,
        Field(
            description=(
                "What runs a script without a #! line: bash, sh, python, pwsh, or an "
                "absolute path. Default: /bin/sh."
            )
        ),
    ] = ""
    function: Annotated[
        FunctionName,
        Field(
            description=(
                "The name of a Python function that workers offer; `params` are its "
                "arguments."
            )
        ),
    ] = ""
    stdin: Annotated[
        Text,
        Field(
            description=(
                "What the program reads from its standard input; {{name}} is replaced. "
                "Default: nothing."
            )
        ),
    ] = ""
    environment: Annotated[
        Environment,
        Field(
            description=(
                "Environment variables; {{name}} in the values is replaced. JOB_NAME, "
                "WORKSPACE_ID and JOBS_* are set for every job and cannot be "
                "overridden. Default: none but those."
            )
        ),
    ] = Field(default_factory=dict)
    working_dir: Annotated[
        Argument,
        Field(
            description=(
                "Where to run: absolute, or relative to the directory of the "
                "workspace; {{name}} is replaced. Default: that directory."
            )
        ),
    ] = ""
    params: Annotated[
        Parameters,
        Field(
            description=(
                "Inputs of a run: name to declaration {type, default, pattern, "
                "required, description, options}, or name to value, which is its "
                "default. Their values fill placeholders and are the arguments of "
                "functions. Default: none."
            )
        ),
    ] = Field(default_factory=dict)
    variables: Annotated[
        Variables,
        Field(
            description=(
                "Values for placeholders that the workspace gives its jobs. Written "
                "in the workspace file. Default: none."
            )
        ),
    ] = Field(default_factory=dict)
    schedule: Annotated[
        Schedules,
        Field(
            description=(
                'When the job is due: a cron expression, "every 30m", an object such as '
                "{cron: ..., timezone: ...}, or a list of these, which are united. "
                "Default: never; the job is started by hand."
            )
        ),
    ] = ()
    depends_on: Annotated[
        Dependencies,
        Field(
            description=(
                "The job also runs once all of these have succeeded since it last did "
                "for them: names of jobs of the same workspace, [extract, load], or "
                "one. Default: none."
            )
        ),
    ] = ()
    timezone: Annotated[
        Zone,
        Field(
            description=(
                "The time zone of the schedules that name none, such as "
                "Europe/Berlin. Default: UTC."
            )
        ),
    ] = "UTC"
    calendars: Annotated[
        Calendars,
        Field(
            description=(
                "Days that the schedules may speak of by a name: {holidays: "
                "[2026-12-25, 12-26, 2026-12-28/2026-12-31, sun]}. Those of the "
                "workspace file hold for all its jobs. Default: none; weekends is "
                "built in."
            )
        ),
    ] = Field(default_factory=dict)
    overlap: Annotated[
        Overlap,
        Field(
            description=(
                "When the job is due and still runs: skip, queue, allow or replace, "
                "or {policy: allow, max: 3}. Default: skip."
            )
        ),
    ] = Overlap()
    catch_up: Annotated[
        CatchUp,
        Field(
            description=(
                "Which due times of a downtime are made up for: none, latest or all, "
                "or {mode: all, max: 10, window: 1h}. Default: latest, within 1h."
            )
        ),
    ] = CatchUp()
    pause_after_failures: Annotated[
        StrictInt | None,
        Field(
            ge=1,
            le=1_000_000,
            description=(
                "After so many failed runs in a row the job is paused, until somebody "
                "resumes it. Default: never."
            ),
        ),
    ] = None
    queue: Annotated[
        Name,
        Field(description='The waiting line that runs stand in. Default: "default".'),
    ] = "default"
    priority: Annotated[
        StrictInt,
        Field(
            ge=1,
            le=5,
            description="The place in the queue: 1 (first) to 5 (last). Default: 3.",
        ),
    ] = 3
    timeout: Annotated[
        PositiveDuration,
        Field(
            description=(
                "How long one attempt may run before its whole process tree is ended; "
                "a bare number is seconds. Default: 30m."
            )
        ),
    ] = "30m"
    timeouts: Annotated[
        Timeouts | None,
        Field(
            description=(
                "Limits besides the run time of one attempt: {queue: 1h, total: 4h, "
                "silence: 5m}. Default: none."
            )
        ),
    ] = None
    retry: Annotated[
        Retry | None,
        Field(
            description=(
                'When a failed attempt is tried again: 3, "3 times", {delays: [1m, '
                "5m]}, or {max_retries: 3, backoff: exponential, initial: 30s, factor: "
                "2, max: 10m, on: [exit_code, timeout, lost, signal]}. Default: 0, "
                "which is never."
            )
        ),
    ] = None
    fallback: Annotated[
        Fallback | None,
        Field(
            description=(
                "What runs once when the job has failed for good, after its last retry: "
                "{job: other} of the same workspace, or {function: name}. Default: "
                "nothing."
            )
        ),
    ] = None
    delivery: Annotated[
        Delivery | None,
        Field(
            description=(
                "What to do when a worker vanishes: at_most_once leaves a run lost "
                "rather than start it twice; at_least_once starts it again. Default: "
                "at_least_once for idempotent jobs and for those that are tried again "
                "when they are lost, else at_most_once."
            )
        ),
    ] = None
    idempotent: Annotated[
        StrictBool,
        Field(
            description=(
                "true: running the job twice does no harm, so it may be started again "
                "when nobody knows how a run ended. Default: false."
            )
        ),
    ] = False
    quarantine: Annotated[
        Quarantine,
        Field(
            description=(
                "After so many lost workers within an hour the job is paused, and what "
                "waits of it is kept back, until somebody resumes it; false: never. "
                "Default: 3."
            )
        ),
    ] = 3
    slots: Annotated[
        StrictInt,
        Field(
            ge=1,
            le=1000,
            description=(
                "How many slots of a worker one run takes; a heavy job takes several. "
                "Default: 1."
            ),
        ),
    ] = 1
    concurrency: Annotated[
        Concurrency | None,
        Field(
            description=(
                "How many runs may go on at once: {key: backup-{{database}}, max: 1, "
                "per_worker: 1}, or a number, which is that of the job. What is too "
                "much waits. Default: any number."
            )
        ),
    ] = None
    breaker: Annotated[
        Breakers,
        Field(
            description=(
                "When the job, or a dependency of it, is left alone because it keeps "
                "failing: {failures: 5, open_for: 60s}, {name: orders-db}, or a list of "
                "these. Default: never."
            )
        ),
    ] = ()
    cancel: Annotated[
        Cancel,
        Field(
            description=(
                "How a run is stopped: {signal: TERM, grace: 10s}, which is the default."
            )
        ),
    ] = Cancel()
    limits: Annotated[
        Limits,
        Field(description="How much a run may use; default: {output: 64MiB}."),
    ] = Limits()
    targets: Annotated[
        Targets,
        Field(
            description=(
                "Which workers may run the job: {selector: {role: db}}. Default: any."
            )
        ),
    ] = Field(default_factory=lambda: ANYWHERE)
    template: Annotated[PendingText | None, Field(description=_PENDING)] = None
    steps: Annotated[PendingSteps, Field(description=_PENDING)] = None
    user: Annotated[PendingText | None, Field(description=_PENDING)] = None
    artifacts: Annotated[PendingArtifacts | None, Field(description=_PENDING)] = None
    notifications: Annotated[
        PendingNotifications | None, Field(description=_PENDING)
    ] = None
    retention: Annotated[PendingRetention | None, Field(description=_PENDING)] = None
