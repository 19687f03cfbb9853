"""Submit no-op tasks to a peer and time them to the last one done; print JSON."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time

import redis

WORKERS = {
    "celery": ["celery", "-A", "celery_app", "worker", "-c", "2", "-l", "error"],
    "dramatiq": ["dramatiq", "dramatiq_app", "-p", "2", "-t", "4"],
}


def main() -> None:
    """See the module's docstring."""
    peer, total = sys.argv[1], int(sys.argv[2])
    counter = redis.Redis.from_url(os.environ["PEER_REDIS"])
    counter.flushdb()
    worker = subprocess.Popen(
        [sys.executable, "-m", *WORKERS[peer]],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        noop = importlib.import_module(f"{peer}_app").noop
        submit = noop.delay if peer == "celery" else noop.send
        submit(-1)
        while int(counter.get("done") or 0) < 1:
            time.sleep(0.05)
        counter.set("done", 0)
        start = time.perf_counter()
        for number in range(total):
            submit(number)
        while (done := int(counter.get("done") or 0)) < total:
            time.sleep(0.01)
        elapsed = time.perf_counter() - start
        assert done == total
    finally:
        worker.terminate()
        worker.wait()
    print(json.dumps({"peer": peer, "per_s": total / elapsed}))


main()
