"""Jitter: a delay that spreads starts, and is the same whoever computes it.

It is a hash of the schedule and the due time: no state, no randomness, so that every
leader, every restart and every preview says the same. The due time itself does not move.
"""

from __future__ import annotations

import hashlib
from typing import Final

from jobs_grpc.schedule.duration import MILLISECOND
from jobs_grpc.schedule.rule import Rule

_SPACE: Final = 1 << 64


def jitter_delay(seed: str, due: int, jitter: int, rule: Rule) -> int:
    """Return the microseconds by which the start of one due time is put off.

    From 0 to less than `jitter`, in whole milliseconds, and never as far as the next due
    time of `rule`.
    """
    if jitter <= 0:
        return 0
    following = rule.next_after(due)
    room = jitter if following is None else min(jitter, following - due)
    text = f"{seed}\0{due}"
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    delay = int.from_bytes(digest) * room // _SPACE
    return delay - delay % MILLISECOND
