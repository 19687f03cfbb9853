"""A no-op Celery task, acknowledged after it ran, counted in Redis."""

from __future__ import annotations

import os

import celery
import redis

URL = os.environ["PEER_REDIS"]
counter = redis.Redis.from_url(URL)
app = celery.Celery("celery_app", broker=URL)
app.conf.task_ignore_result = True


@app.task(acks_late=True)
def noop(_number: int) -> None:
    """Count, and nothing else."""
    counter.incr("done")
