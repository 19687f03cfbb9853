"""The peers of P1: Celery and Dramatiq over Redis, measured in the same call.

They live in a virtual environment of their own (`.venv-peers`), made on first use, and
need `redis-server`. Without either the rows say so instead of claiming a ratio.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .system import free_port

HERE = Path(__file__).resolve().parent
VENV = HERE.parents[1] / ".venv-peers"
# kombu imports `packaging` without asking for it.
PACKAGES = ("celery>=5.4", "dramatiq[redis]>=1.17", "redis>=5", "packaging")


def available() -> str:
    """Return why there are no peers here, or an empty text."""
    if shutil.which("redis-server") is None:
        return "redis-server is not installed (apt-get install redis-server)"
    if not (VENV / "bin/celery").exists():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        made = subprocess.run(
            [str(VENV / "bin/pip"), "install", "--quiet", *PACKAGES],
            check=False,
            stderr=subprocess.DEVNULL,
        )
        if made.returncode:
            return "the peers' packages cannot be installed"
    return ""


@contextmanager
def redis() -> Iterator[str]:
    """Give the address of a Redis without persistence."""
    port = free_port()
    server = subprocess.Popen(
        ["redis-server", "--port", str(port), "--save", "", "--appendonly", "no"],
        stdout=subprocess.DEVNULL,
    )
    time.sleep(0.5)
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait()


def rate(peer: str, total: int, url: str) -> float:
    """Return the no-op tasks a second that a peer does, from submit to done."""
    ended = subprocess.run(
        [str(VENV / "bin/python"), "peer_measure.py", peer, str(total)],
        cwd=HERE / "peer_apps",
        env={**os.environ, "PEER_REDIS": url},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return found["per_s"]
