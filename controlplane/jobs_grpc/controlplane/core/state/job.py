"""What is to be run, and where it may run.

A `JobSpec` is one revision of a definition as the core needs it: values parsed, defaults
filled in. It is built from the job document at the edge and never changes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

from jobs_grpc.schedule import Blackout, Rule

from .retrying import RetryPolicy

STANDALONE: Final = "_standalone_"
# As in `jobs_grpc.jobfile.placeholder`, by which imported files are shielded.
_PLACEHOLDER: Final = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")

JobKey = tuple[str, str, str]
"""Namespace, workspace, name."""
Place = tuple[tuple[tuple[str, str], ...], str]
"""What a worker must have: labels, and the function ("" for processes)."""
KeyName = tuple[str, str, str]
"""Of a concurrency key: namespace, "" and its text; without a text it is the job's key."""


class Delivery(StrEnum):
    """What may happen when nobody knows whether an attempt ran.

    `at_most_once`: it is never run again; `at_least_once`: it is.
    """

    AT_MOST_ONCE = "at_most_once"
    AT_LEAST_ONCE = "at_least_once"


class Overlap(StrEnum):
    """What becomes of a due time while executions of the job are active; see `overlap`."""

    SKIP = "skip"
    ALLOW = "allow"
    QUEUE = "queue"
    REPLACE = "replace"


class CatchUp(StrEnum):
    """What becomes of due times that passed while the control plane was down."""

    NONE = "none"
    LATEST = "latest"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Concurrency:
    """How many executions that share a key may be leased at once."""

    # With placeholders; "" stands for the job.
    key: str = ""
    # In all; `None` for any number.
    max: int | None = None
    # On one worker; `None` for any number.
    per_worker: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """When a circuit breaker opens, and for how long; see `breakers`."""

    # Of the dependency that it stands for; "" stands for the job itself.
    name: str = ""
    # It opens after so many failures in a row, the first no longer than `window` ago,
    failures: int = 5
    window: int = 300_000_000
    # or when this many percent of the last `of` attempts in the window failed; 0 is off.
    percent: int = 0
    of: int = 20
    open_for: int = 60_000_000
    # It closes after so many probes succeeded.
    successes: int = 3
    # Only these count as failures; none means that all do.
    exit_codes: frozenset[int] = frozenset()
    # Each worker has one of its own.
    per_worker: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a worker is to do, complete: no placeholder is left in it."""

    type: str
    line: str = ""
    argv: tuple[str, ...] = ()
    script: str = ""
    interpreter: str = ""
    function: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    working_dir: str = ""
    stdin: str = ""


class ScheduleSpec(NamedTuple):
    """One rule of a job; `id` stays the same as long as the rule means the same.

    A named tuple, for a term's start makes a million of them.
    """

    id: str
    name: str
    rule: Rule
    params: Mapping[str, Any]
    enabled: bool
    disabled_reason: str = ""
    # Where it is set, due times before it start nothing, and those after it do.
    disabled_until: int | None = None
    # The longest delay of a start, in microseconds.
    jitter: int = 0
    # How many executions it may start in all.
    max_runs: int | None = None
    # Days on which its due times are decided against.
    blackout: Blackout | None = None


class Timeouts(NamedTuple):
    """Limits besides the run time of one attempt, in microseconds; `None` for none."""

    queue: int | None = None
    total: int | None = None
    # Of the output of an attempt; watched by the worker.
    silence: int | None = None


@dataclass(frozen=True, slots=True)
class Fallback:
    """What runs once when a job has failed for good: a job beside it, or a function."""

    job: str = ""
    # The function as a job of its own.
    spec: JobSpec | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """One revision of a job. Durations are microseconds, sizes are bytes."""

    namespace: str
    workspace: str
    name: str
    document_json: str
    enabled: bool
    work: Work
    # Placeholder values that the workspace gives.
    variables: Mapping[str, str]
    # Default values of the declared params.
    params: Mapping[str, Any]
    has_declared_params: bool
    schedules: tuple[ScheduleSpec, ...]
    overlap: Overlap
    # How many executions may be active beside each other when a schedule starts one:
    # what `allow` says, 1 with the other policies.
    max_active: int
    # How many `queue` holds behind the active one.
    max_queued: int
    catch_up: CatchUp
    catch_up_window: int
    catch_up_max: int
    # Failures in a row after which the job is paused; 0 for never.
    pause_after_failures: int
    queue: str
    priority: int
    timeout: int
    delivery: Delivery
    # `None` where a failed attempt is the end.
    retry: RetryPolicy | None
    cancel_signal: str
    cancel_grace: int
    output_limit: int
    selector: Mapping[str, str]
    labels: Mapping[str, str]
    description: str
    # A due time that no worker could serve is skipped, and does not wait for one.
    skips_without_worker: bool = False
    # How many slots of a worker one execution takes.
    slots: int = 1
    concurrency: Concurrency | None = None
    fallback: Fallback | None = None
    timeouts: Timeouts | None = None
    # Lost workers within an hour after which the job is paused; 0 for never.
    quarantine: int = 0
    breakers: tuple[BreakerPolicy, ...] = ()
    # Some text of the work has placeholders; else `work` is ready as it is.
    is_templated: bool = field(init=False)
    key: JobKey = field(init=False)
    # Executions of equal places can go to the same workers.
    place: Place = field(init=False)
    # Executions of equal lines wait together, if nothing is counted for each worker.
    line: tuple[Place, int] = field(init=False)
    # An execution has to pass gates: see `limits`.
    is_gated: bool = field(init=False)
    # Its failures have follow-ups: see `followups`.
    has_follow_ups: bool = field(init=False)

    def __post_init__(self) -> None:
        work = self.work
        texts = (*work.environment.values(), work.working_dir, work.stdin, *work.argv)
        if self.concurrency is not None:
            texts = (*texts, self.concurrency.key)
        place = (tuple(sorted(self.selector.items())), work.function)
        key = (self.namespace, self.workspace, self.name)
        object.__setattr__(self, "is_templated", any("{{" in text for text in texts))
        object.__setattr__(self, "key", key)
        object.__setattr__(self, "place", place)
        object.__setattr__(self, "line", (place, self.slots))
        follows = self.retry is not None or self.fallback is not None
        object.__setattr__(self, "has_follow_ups", follows)
        is_gated = self.concurrency is not None or bool(self.breakers)
        object.__setattr__(self, "is_gated", is_gated)


class UnresolvedError(Exception):
    """A placeholder has no value."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"placeholder {{{{{name}}}}} has no value: it is no built-in "
            "(workspace_name, job_name, namespace), no param and no variable"
        )
        self.name = name


def text_of(value: object) -> str:
    """Return a param as text: as it is, or as JSON where it is no text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def resolve(spec: JobSpec, params: Mapping[str, Any]) -> Work:
    """Return the work of one execution with every placeholder replaced.

    Values never go into a command line or a script: those run through a shell, and a
    value in a shell's text is an injection. They reach it through the environment.

    Raises:
        UnresolvedError: a name is neither built in, nor a param, nor a variable.
    """
    if not spec.is_templated:
        return spec.work
    filled = _filler(spec, params)
    if spec.concurrency is not None:
        # A key without a value would be shared by executions that have nothing in common.
        filled(spec.concurrency.key)
    work = spec.work
    return Work(
        type=work.type,
        line=work.line,
        argv=tuple(filled(word) for word in work.argv),
        script=work.script,
        interpreter=work.interpreter,
        function=work.function,
        environment={key: filled(text) for key, text in work.environment.items()},
        working_dir=filled(work.working_dir),
        stdin=filled(work.stdin),
    )


def key_name(spec: JobSpec, params: Mapping[str, Any]) -> KeyName:
    """Return the concurrency key of one execution of a job that has one.

    Raises:
        UnresolvedError: a placeholder in the key has no value.
    """
    assert spec.concurrency is not None
    text = spec.concurrency.key
    if not text:
        return spec.key
    # No workspace has an empty name, so this is no job's own key.
    return (spec.namespace, "", _filler(spec, params)(text) if "{{" in text else text)


def _filler(spec: JobSpec, params: Mapping[str, Any]) -> Callable[[str], str]:
    values = dict(spec.variables)
    values.update((key, text_of(value)) for key, value in params.items())
    values["workspace_name"] = spec.workspace
    values["job_name"] = spec.name
    values["namespace"] = spec.namespace

    def value_of(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in values:
            raise UnresolvedError(name)
        return values[name]

    return lambda text: _PLACEHOLDER.sub(value_of, text)


def schedule_id(key: JobKey, identity: str) -> str:
    """Return the id of a schedule: a hash, so that no store is needed to mint it.

    `identity` is the schedule's name where it has one, else the rule's canonical form.
    """
    text = "\x1f".join((*key, identity))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def execution_id(schedule: str, due_at: int) -> str:
    """Return the UUID-shaped id of the execution of one due time.

    It is computed, not drawn: a leader that must decide the same due time again names
    the same execution.
    """
    return _uuid(f"{schedule}\x1f{due_at}")


def backfill_execution_id(schedule: str, due_at: int) -> str:
    """Return the id of the execution of a due time that a backfill starts.

    Another one than the schedule's own, whose record may have been kept for longer than
    the decision that tells of it.
    """
    return _uuid(f"{schedule}\x1fbackfill\x1f{due_at}")


def event_execution_id(schedule: str, cause: str) -> str:
    """Return the id of the execution that the end of another one causes."""
    return _uuid(f"{schedule}\x1fevent\x1f{cause}")


def _uuid(text: str) -> str:
    digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    return "-".join(
        (digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:])
    )
