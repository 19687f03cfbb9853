"""P2: commands, from submit to done, beside xargs with the same command."""

from __future__ import annotations

import asyncio
import subprocess
import time

from .p1 import throughput
from .system import connect, running
from .table import Row, middle, spread

TOTAL = 3_000
ROUNDS = 5
SLOTS = 16


def xargs(total: int) -> float:
    """Return the commands a second that `xargs -P16` runs."""
    numbers = "\n".join(map(str, range(total)))
    start = time.perf_counter()
    subprocess.run(
        ["xargs", "-P", str(SLOTS), "-n", "1", "/bin/true"],
        input=numbers,
        text=True,
        check=True,
    )
    return total / (time.perf_counter() - start)


async def measure() -> list[dict[str, float]]:
    """Return the rates, ours and theirs in turns."""
    rounds = []
    with running(slots=SLOTS) as system:
        async with await connect(system) as client:
            await client.jobs.apply([{"name": "true", "command": ["/bin/true"]}])
            await throughput(client, total=500, job="true")
            for _ in range(ROUNDS):
                theirs = xargs(TOTAL)
                ours = await throughput(client, total=TOTAL, job="true")
                rounds.append({"ours": ours, "xargs": theirs})
            assert not any(one.failed for one in await client.queues.list())
    return rounds


def run() -> list[Row]:
    rounds = asyncio.run(measure())
    ratios = [one["ours"] / one["xargs"] for one in rounds]
    return [
        Row(
            id="P2",
            goal="commands ≥ 0.8 x xargs -P16",
            measured=f"{spread([one['ours'] for one in rounds])}/s",
            ratio=f"{spread(ratios, '{:.2f}')} x",
            met=middle(ratios) >= 0.8,
            rounds=rounds,
        )
    ]
