"""What gRPC alone costs for idle sessions: it welcomes, echoes heartbeats, and knows nothing.

`python -m bench.bare_echo ADDRESS` serves `bench.herd` until it is killed. Its heartbeats
come every ten seconds, as those of a small fleet do.
"""

from __future__ import annotations

import resource
import sys
from typing import Any, Final

import uvloop
from grpc import StatusCode, aio

from jobs_grpc.v1 import worker_service_pb2 as wire
from jobs_grpc.v1.worker_service_pb2_grpc import (
    WorkerServiceServicer,
    add_WorkerServiceServicer_to_server,
)
from jobs_grpc.wire.channel import SERVER_OPTIONS
from jobs_grpc.wire.time import duration

EVERY: Final = 10


class Echo(WorkerServiceServicer):
    """Answers, and does nothing else."""

    async def Connect(self, requests: Any, context: Any) -> None:  # type: ignore[override]  # noqa: N802
        await context.read()
        welcome = wire.Welcome(
            session_id="bare", heartbeat_every=duration(EVERY * 1_000_000)
        )
        await context.write(wire.LeaderMessage(welcome=welcome))
        while (message := await context.read()) is not aio.EOF:
            echo = wire.HeartbeatAck(sequence=message.heartbeat.sequence)
            await context.write(wire.LeaderMessage(heartbeat_ack=echo))

    async def PushOutput(self, requests: Any, context: Any) -> None:  # type: ignore[override]  # noqa: N802
        """Nobody of the herd has any output."""
        await context.abort(StatusCode.UNIMPLEMENTED, "an echo keeps no output")


async def main(address: str) -> None:
    """Serve until killed."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server = aio.server(options=list(SERVER_OPTIONS))
    add_WorkerServiceServicer_to_server(Echo(), server)
    server.add_insecure_port(address)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
