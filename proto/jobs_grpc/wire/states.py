"""The words for states that people read and type.

One canonical lower-case word is printed; filters also take the words of other systems.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from jobs_grpc.v1.execution_pb2 import ExecutionState, Trigger

STATE_WORDS: Final[Mapping[ExecutionState.ValueType, str]] = {
    value: name.removeprefix("EXECUTION_STATE_").lower()
    for name, value in ExecutionState.items()
    if value
}
TRIGGER_WORDS: Final[Mapping[Trigger.ValueType, str]] = {
    value: name.removeprefix("TRIGGER_").lower()
    for name, value in Trigger.items()
    if value
}

FINAL_STATES: Final = frozenset(
    {
        ExecutionState.EXECUTION_STATE_SUCCEEDED,
        ExecutionState.EXECUTION_STATE_FAILED,
        ExecutionState.EXECUTION_STATE_TIMED_OUT,
        ExecutionState.EXECUTION_STATE_CANCELLED,
        ExecutionState.EXECUTION_STATE_LOST,
        ExecutionState.EXECUTION_STATE_SKIPPED,
    }
)

ALIASES: Final[Mapping[str, str]] = {
    "success": "succeeded",
    "completed": "succeeded",
    "complete": "succeeded",
    "ok": "succeeded",
    "timeout": "timed_out",
    "failure": "failed",
    "error": "failed",
    "processing": "running",
    "active": "running",
    "assigned": "running",
    "queued": "pending",
    "waiting": "pending",
    "loaded": "pending",
    "canceled": "cancelled",
    "killed": "cancelled",
    "unknown": "lost",
    "stale": "lost",
    "missed": "skipped",
}

_BY_WORD: Final = {word: value for value, word in STATE_WORDS.items()}


def state_from_word(word: str) -> ExecutionState.ValueType:
    """Return the state a person means; an unknown word is a `ValueError` with the list."""
    plain = word.strip().lower().replace("-", "_")
    canonical = ALIASES.get(plain, plain)
    try:
        return _BY_WORD[canonical]
    except KeyError:
        known = ", ".join(_BY_WORD)
        raise ValueError(f"unknown state {word!r}; the states are {known}") from None
