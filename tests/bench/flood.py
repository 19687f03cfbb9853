"""`make flood`: a gigabyte from one job, a follower that never reads, and who holds how much.

Real processes. The job prints as fast as it can under its output limit, one follower opens
its stream and reads nothing. Printed for server, session process and keeper: the largest
resident size they ever had, before and after. Fails where a bound is passed, or where what
is kept is not the beginning and the end of what was printed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from grpc import aio

from bench.system import System, connect, free_port
from jobs_grpc.client import Client
from jobs_grpc.v1 import execution_service_pb2 as pb
from jobs_grpc.v1.execution_service_pb2_grpc import ExecutionServiceStub

MIB = 1 << 20
LINE = "line %012.0f of a flood that nobody can stop"
LINE_BYTES = len("line 000000000001 of a flood that nobody can stop\n")
# More than at rest: what is in flight, and what one follower may hold (4 MiB in gRPC). A
# copy of the output would be ten times as much.
BOUNDS_MIB = {"server": 96.0, "worker": 64.0, "keeper": 8.0}


def line(number: int) -> bytes:
    """Return a line of the flood."""
    return b"line %012d of a flood that nobody can stop\n" % number


def peaks(system: System) -> dict[str, float]:
    """Return the largest resident sizes of server, worker and keeper, in MiB."""
    server, worker = system.peak_mib()
    lock = system.data / "flood" / "keeper" / "keeper.lock"
    status = Path(f"/proc/{int(lock.read_text())}/status").read_text().splitlines()
    found = next(one for one in status if one.startswith("VmHWM"))
    return {"server": server, "worker": worker, "keeper": int(found.split()[1]) / 1024}


def on_disk(data: Path) -> float:
    """Return how many MiB the files below a directory take."""
    return sum(one.stat().st_blocks * 512 for one in data.rglob("*")) / MIB


async def wait_for(client: Client, id_: str, name: str) -> None:
    ended = await client.executions.wait(id_, timeout=900)
    if ended.state != "succeeded":
        raise SystemExit(f"{name} ended as {ended.state}: {ended.error}")


async def kept(stub: Any, id_: str) -> tuple[bytes, bytes, int]:
    """Return what the log begins with, what it ends with, and the size of the gap."""
    head, tail, gap = b"", b"", 0
    request = pb.FollowOutputRequest(execution_id=id_, follow=False)
    async for message in stub.FollowOutput(request):
        if message.WhichOneof("event") == "gap":
            gap += message.gap.length
        elif message.WhichOneof("event") == "piece" and message.piece.stream == 1:
            if gap:
                tail += message.piece.data
            else:
                head += message.piece.data
    return head, tail, gap


async def flood(system: System, size: int, limit: int) -> list[str]:
    """Run one flood; return what was wrong."""
    count = size // LINE_BYTES
    async with (
        await connect(system) as client,
        aio.insecure_channel(system.address) as channel,
    ):
        stub: Any = ExecutionServiceStub(channel)
        flooding = {
            "name": "flood",
            "command": ["seq", "-f", LINE, "1", str(count)],
            "limits": {"output": limit},
        }
        await client.jobs.apply([{"name": "warm", "command": "echo warm"}, flooding])
        warm = await client.run("warm")
        await wait_for(client, warm.id, "warm")
        before = peaks(system)
        began = time.monotonic()
        execution = await client.run("flood")
        silent = stub.FollowOutput(
            pb.FollowOutputRequest(execution_id=execution.id, follow=True)
        )
        await silent.read()
        await wait_for(client, execution.id, "flood")
        seconds = time.monotonic() - began
        # The rest is still on its way.
        head, tail, gap = await kept(stub, execution.id)
        while not tail.endswith(line(count)) and time.monotonic() - began < 900:
            await asyncio.sleep(0.5)
            head, tail, gap = await kept(stub, execution.id)
        after = peaks(system)
        silent.cancel()
        with contextlib.suppress(aio.AioRpcError, asyncio.CancelledError):
            await silent.code()
    wrong = [
        f"{name}: {after[name] - before[name]:.1f} MiB more than at rest, not {bound}"
        for name, bound in BOUNDS_MIB.items()
        if after[name] - before[name] > bound
    ]
    whole = b"".join(map(line, range(1, MIB // LINE_BYTES + 2)))
    if head[:MIB] != whole[:MIB]:
        wrong.append("the first MiB is not what was printed first")
    numbers = range(count - len(tail) // LINE_BYTES + 1, count + 1)
    if len(tail) < limit - MIB or not tail.endswith(b"".join(map(line, numbers))):
        wrong.append("the last bytes are not what was printed last")
    print(f"{size / 1e6:.0f} MB printed in {seconds:.1f} s, limit {limit // MIB} MiB")
    print("| process | at rest, MiB | peak, MiB |\n|---|---|---|")
    for name in BOUNDS_MIB:
        print(f"| {name} | {before[name]:.1f} | {after[name]:.1f} |")
    print(f"kept {(len(head) + len(tail)) / MIB:.1f} MiB, a gap of {gap / MIB:.1f} MiB")
    print(
        f"output on the server's disk: {on_disk(system.data / 'server' / 'output'):.1f} MiB"
    )
    return wrong


def main() -> int:
    """Return 1 if a bound was passed."""
    parser = argparse.ArgumentParser(prog="python -m bench.flood", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--limit-mib", type=int, default=64)
    chosen = parser.parse_args()
    data = Path(tempfile.mkdtemp(prefix="jobs-grpc-flood-"))
    system = System(f"127.0.0.1:{free_port()}", data)
    try:
        system.start_server()
        system.start_worker("flood", slots=2)
        size, limit = chosen.megabytes * 1_000_000, chosen.limit_mib * MIB
        wrong = asyncio.run(flood(system, size, limit))
    finally:
        system.stop()
        shutil.rmtree(data, ignore_errors=True)
    for each in wrong:
        print(f"wrong: {each}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
