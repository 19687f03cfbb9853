"""The jobs of the worlds, and what their processes do.

What a process does follows from the seed and its attempt, so it is the same whatever else
happens; only whether and when it runs depends on the world.
"""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from jobs_grpc.controlplane.core.state.job import JobSpec
from jobs_grpc.controlplane.leader.specs import spec_of
from jobs_grpc.jobfile import JobDocument

from .kernel import SECOND


class Kind(NamedTuple):
    """A job as the worlds know it: enough to judge what happened to it."""

    name: str
    keys: dict[str, Any]
    # Period and phase of its schedule in seconds since the epoch; none without one.
    period: int = 0
    # Longest a process of it takes by itself, in seconds.
    longest: float = 2.0
    # How many of its executions schedules may have at work at once.
    limit: int = 1
    # How often an attempt that failed is tried again, and how many of 256 do fail.
    retries: int = 0
    failing: int = 24


_ONCE: Final = {"delivery": "at_most_once"}
_AGAIN: Final = {"delivery": "at_least_once"}


def _every(text: str) -> dict[str, Any]:
    return {"schedule": text}


SCHEDULED: Final[tuple[Kind, ...]] = (
    Kind("second", {**_AGAIN, **_every("every 1s")}, 1, 0.6),
    Kind("seven", {**_ONCE, **_every("every 7s")}, 7, 9.0),
    Kind(
        "ten",
        {**_ONCE, **_every("*/10 * * * * *"), "overlap": {"policy": "allow", "max": 3}},
        10,
        32.0,
        3,
    ),
    Kind(
        "minute",
        {**_ONCE, **_every("* * * * *"), "catch_up": "latest", "timeout": "15s"},
        60,
        20.0,
    ),
    Kind(
        "minute-all",
        {
            **_AGAIN,
            **_every("* * * * *"),
            "catch_up": {"mode": "all", "max": 5},
            "overlap": "allow",
        },
        60,
        24.0,
        1_000,
    ),
    Kind("five", {**_AGAIN, **_every("*/5 * * * * *"), "catch_up": "none"}, 5, 12.0),
)
SUBMITTED: Final[tuple[Kind, ...]] = (
    Kind("once", {**_ONCE, "cancel": {"grace": "2s"}}, longest=16.0),
    Kind("quick", {**_ONCE}, longest=0.3),
    Kind("again", {**_AGAIN, "cancel": {"grace": "1s"}}, longest=12.0),
    Kind("long", {**_AGAIN, "cancel": {"grace": "2s"}}, longest=90.0),
    Kind("long-once", {**_ONCE}, longest=90.0),
    Kind(
        "stubborn",
        {**_AGAIN, "retry": {"delays": ["1s", "3s"]}},
        longest=4.0,
        retries=2,
        failing=150,
    ),
    Kind(
        "careful",
        {
            **_ONCE,
            "retry": {
                "max_retries": 3,
                "backoff": "exponential",
                "initial": "500ms",
                "on": ["exit_code", "timeout", "signal"],
            },
        },
        longest=6.0,
        retries=3,
        failing=150,
    ),
    Kind("hasty", {**_AGAIN, "timeout": "3s"}, longest=5.0),
)
KINDS: Final = {kind.name: kind for kind in (*SCHEDULED, *SUBMITTED)}


@cache
def spec_named(name: str, revision: int = 1) -> JobSpec:
    """Return a job; each revision differs in a word that changes nothing else."""
    raw = {
        "name": name,
        "command": "true",
        # Hosts die here all the time, which is no fault of the jobs.
        "quarantine": False,
        "description": f"revision {revision}",
        **KINDS[name].keys,
    }
    return spec_of(JobDocument.model_validate(raw))


class Behavior(NamedTuple):
    """What one process does: times in microseconds after its start."""

    duration: int
    exit_code: int
    # A signal that it dies of by itself, or "".
    signal: str
    # How long it takes to die of SIGTERM; -1: it does not.
    dying: int
    # When it prints, and what.
    prints: tuple[tuple[int, bytes], ...]


def behavior_of(seed: int, kind: Kind, execution_id: str, attempt: int) -> Behavior:
    """Return what the process of an attempt does."""
    text = f"{seed}/{execution_id}/{attempt}"
    draw = blake2b(text.encode(), digest_size=16).digest()
    duration = 1_000 + int(kind.longest * SECOND * (draw[0] / 255) ** 2)
    exit_code = 3 if draw[1] < kind.failing else 0
    signal = "SEGV" if draw[1] >= 248 else ""
    dying = -1 if draw[2] < 32 else draw[2] * 4_000
    prints = tuple(
        (
            duration * number // 4,
            b"%d of %s/%d\n" % (number, execution_id[:6].encode(), attempt),
        )
        for number in range(draw[3] % 4)
    )
    return Behavior(duration, exit_code, signal, dying, prints)
