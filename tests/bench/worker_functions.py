"""How many no-op functions one worker process carries out in a second, and at what cost.

The worker is the real daemon in this process; the leader is a second process that leases
as fast as results come back and stores nothing. So the figure is the worker's own
ceiling, journal and fsync included, not the product's. What counts is the CPU time of
this process for one attempt.

    python tests/bench/worker_functions.py [--count N] [--slots N] [--batch N] [--profile]
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import pstats
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvloop
from grpc import aio

from jobs_grpc.v1 import worker_service_pb2 as wire
from jobs_grpc.v1.worker_service_pb2_grpc import (
    WorkerServiceServicer,
    add_WorkerServiceServicer_to_server,
)
from jobs_grpc.wire.channel import SERVER_OPTIONS
from jobs_grpc.worker import WorkerSettings
from jobs_grpc.worker.daemon import Daemon, calm_collector
from jobs_grpc.worker.functions.catalogue import load

MODES = ("coroutine", "thread")
DELIVERIES = {
    "at_least_once": wire.DELIVERY_AT_LEAST_ONCE,
    "at_most_once": wire.DELIVERY_AT_MOST_ONCE,
}


async def coroutine() -> None:
    """Do nothing, in the loop."""


def thread() -> None:
    """Do nothing, in a thread."""


class Leader(WorkerServiceServicer):
    """Leases `count` no-ops, so many at once, and checks that each ends once."""

    def __init__(self, mode: str, delivery: str, count: int, batch: int) -> None:
        self.mode = mode
        self.delivery = DELIVERIES[delivery]
        self.count = count
        self.batch = batch
        self.leased = 0
        self.ended: set[int] = set()
        self.began_at = 0.0

    async def Connect(  # noqa: N802 - the contract names it
        self, request_iterator: Any, context: Any
    ) -> AsyncIterator[wire.LeaderMessage]:
        hello = (await anext(request_iterator)).hello
        welcome = wire.Welcome(session_id="bench", term=1, protocol=1)
        welcome.heartbeat_every.seconds = 10
        welcome.session_ttl.seconds = 30
        yield wire.LeaderMessage(welcome=welcome)
        self.began_at = time.monotonic()
        room = hello.slots
        while room >= self.batch:
            room -= self.batch
            yield self.lease(self.batch)
        async for message in request_iterator:
            acks = wire.Acks()
            for report in message.reports.reports:
                match report.WhichOneof("report"):
                    case "starting":
                        acks.start_granted.append(report.fence)
                    case "finished":
                        assert report.finished.outcome == 1, report
                        assert report.fence not in self.ended
                        self.ended.add(report.fence)
                        acks.finished.append(report.fence)
            yield wire.LeaderMessage(acks=acks)
            room += len(acks.finished)
            while room >= self.batch and self.leased < self.count:
                room -= self.batch
                yield self.lease(self.batch)
            if len(self.ended) == self.count:
                print(json.dumps({"seconds": time.monotonic() - self.began_at}))
                sys.stdout.flush()

    async def PushOutput(  # noqa: N802 - the contract names it
        self, request_iterator: Any, context: Any
    ) -> AsyncIterator[wire.OutputAck]:
        async for chunk in request_iterator:
            raise AssertionError(f"a no-op has no output, but {chunk} came")
            yield

    def lease(self, count: int) -> wire.LeaderMessage:
        message = wire.LeaderMessage()
        for fence in range(self.leased + 1, self.leased + count + 1):
            one = message.leases.leases.add(
                fence=fence,
                execution_id=f"0192aaaa-bbbb-7ccc-8ddd-{fence:012}",
                attempt=1,
                namespace="default",
                workspace="_standalone_",
                job="no-op",
                delivery=self.delivery,
                output_limit=64 << 20,
            )
            one.work.function.name = self.mode
            one.timeout.seconds = 1800
            one.scheduled_for.seconds = 1_700_000_000
            one.cancel.signal = "TERM"
            one.cancel.grace.seconds = 10
        self.leased += count
        return message


async def lead(arguments: argparse.Namespace) -> None:
    """Be the leader, in a process of its own."""
    server = aio.server(options=SERVER_OPTIONS)
    leader = Leader(
        arguments.mode, arguments.delivery, arguments.count, arguments.batch
    )
    add_WorkerServiceServicer_to_server(leader, server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await server.wait_for_termination()


async def work(port: str, leader: subprocess.Popen[str], slots: int) -> float:
    """Be the worker until the leader says how long it took."""
    with tempfile.TemporaryDirectory() as data:
        settings = WorkerSettings(
            addr=f"127.0.0.1:{port}",
            data=Path(data),
            slots=slots,
            ephemeral=True,
            log_level="warning",
        )
        daemon = Daemon(settings, load([], [coroutine, thread]))
        calm_collector()
        running = asyncio.get_running_loop().create_task(daemon.run())
        assert leader.stdout is not None
        line = await asyncio.to_thread(leader.stdout.readline)
        daemon.stop()
        await running
    return float(json.loads(line)["seconds"])


def measure(mode: str, delivery: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one round."""
    command = [sys.executable, __file__, "--lead", "--mode", mode]
    command += ["--delivery", delivery, "--count", str(arguments.count)]
    command += ["--batch", str(arguments.batch)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as leader:
        assert leader.stdout is not None
        port = leader.stdout.readline().strip()
        profile = cProfile.Profile() if arguments.profile else None
        if profile:
            profile.enable()
        cpu = time.process_time()
        seconds = uvloop.run(work(port, leader, arguments.slots))
        cpu = time.process_time() - cpu
        if profile:
            profile.disable()
            pstats.Stats(profile).sort_stats("tottime").print_stats(35)
        leader.terminate()
    return {
        "mode": mode,
        "delivery": delivery,
        "per_second": round(arguments.count / seconds),
        "worker_cpu_us": round(cpu / arguments.count * 1e6, 1),
    }


def main() -> None:
    """Measure every mode in turn, several rounds, and print medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=40_000)
    parser.add_argument("--slots", type=int, default=1_000)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--mode", choices=MODES)
    parser.add_argument("--delivery", choices=tuple(DELIVERIES))
    parser.add_argument("--lead", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.lead:
        uvloop.run(lead(arguments))
        return
    modes = [arguments.mode] if arguments.mode else MODES
    deliveries = [arguments.delivery] if arguments.delivery else list(DELIVERIES)
    cases = [(mode, delivery) for mode in modes for delivery in deliveries]
    rounds = [
        measure(mode, delivery, arguments)
        for _ in range(arguments.rounds)
        for mode, delivery in cases
    ]
    for mode, delivery in cases:
        these = [r for r in rounds if (r["mode"], r["delivery"]) == (mode, delivery)]
        rates = [r["per_second"] for r in these]
        cpu = statistics.median(r["worker_cpu_us"] for r in these)
        print(
            f"{mode:10} {delivery:14} {statistics.median(rates):>7.0f}/s"
            f"  ({min(rates)}-{max(rates)})  {cpu:.1f} us of worker CPU each"
        )


if __name__ == "__main__":
    main()
