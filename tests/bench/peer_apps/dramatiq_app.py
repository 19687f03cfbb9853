"""A no-op Dramatiq actor, counted in Redis."""

from __future__ import annotations

import os

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker

URL = os.environ["PEER_REDIS"]
counter = redis.Redis.from_url(URL)
dramatiq.set_broker(RedisBroker(url=URL))


@dramatiq.actor
def noop(_number: int) -> None:
    """Count, and nothing else."""
    counter.incr("done")
