"""Many worker sessions in one process, each on a connection of its own, doing no work.

`python -m bench.herd ADDRESS COUNT OFFSET` keeps COUNT sessions alive as a worker would
(heartbeats as the welcome says, reconnects with the worker's own back-off) and prints how
many are welcome whenever that has changed.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from contextlib import suppress
from typing import Final

import grpc
import uvloop
from grpc import aio

from jobs_grpc.runtime.backoff import Backoff
from jobs_grpc.v1 import worker_service_pb2 as wire
from jobs_grpc.v1.worker_service_pb2_grpc import WorkerServiceStub
from jobs_grpc.wire.channel import CLIENT_OPTIONS, PROTOCOL_VERSION

# One connection each, as ten thousand hosts would have.
_OPTIONS: Final = (*CLIENT_OPTIONS, ("grpc.use_local_subchannel_pool", 1))
# So many handshakes at once: hosts do not boot in the same millisecond.
_GREETING: Final = 50


class Herd:
    """The sessions and how many of them are welcome."""

    def __init__(self, address: str) -> None:
        self.welcome = 0
        self._address = address
        self._gate = asyncio.Semaphore(_GREETING)

    async def live(self, number: int) -> None:
        """Keep one session alive for ever."""
        backoff = Backoff()
        session = ""
        while True:
            delay: float | None = None
            async with aio.insecure_channel(self._address, options=_OPTIONS) as channel:
                with suppress(grpc.RpcError, asyncio.InvalidStateError):
                    session, delay = await self._serve(
                        channel, number, session, backoff
                    )
            await asyncio.sleep(backoff.next_delay() if delay is None else delay)

    async def _serve(
        self, channel: aio.Channel, number: int, session: str, backoff: Backoff
    ) -> tuple[str, float | None]:
        async with self._gate:
            call = WorkerServiceStub(channel).Connect()
            hello = wire.Hello(
                worker_id=f"herd-{number}",
                worker_name=f"herd-{number}",
                session_id=session,
                slots=1,
                version="bench",
                protocol_min=PROTOCOL_VERSION,
                protocol_max=PROTOCOL_VERSION,
            )
            await call.write(wire.WorkerMessage(hello=hello))
            first = await call.read()
        if not isinstance(first, wire.LeaderMessage):
            return session, None
        if first.HasField("go_away"):
            return session, first.go_away.reconnect_after.ToTimedelta().total_seconds()
        backoff.reset()
        self.welcome += 1
        every = first.welcome.heartbeat_every.ToTimedelta().total_seconds()
        times = [every]
        beats = asyncio.create_task(self._beat(call, times))
        try:
            while isinstance(message := await call.read(), wire.LeaderMessage):
                if message.heartbeat_ack.HasField("heartbeat_every"):
                    ack = message.heartbeat_ack
                    times[0] = ack.heartbeat_every.ToTimedelta().total_seconds()
                if message.HasField("go_away"):
                    after = message.go_away.reconnect_after.ToTimedelta()
                    return first.welcome.session_id, after.total_seconds()
        finally:
            self.welcome -= 1
            beats.cancel()
            await asyncio.wait([beats])
            call.cancel()
        return first.welcome.session_id, None

    async def _beat(
        self,
        call: aio.StreamStreamCall[wire.WorkerMessage, wire.LeaderMessage],
        times: list[float],
    ) -> None:
        sequence = 0
        while True:
            await asyncio.sleep(times[0])
            sequence += 1
            beat = wire.Heartbeat(sequence=sequence)
            try:
                await call.write(wire.WorkerMessage(heartbeat=beat))
            except (grpc.RpcError, asyncio.InvalidStateError):
                return


async def main(address: str, count: int, offset: int) -> None:
    """Serve until killed."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    herd = Herd(address)
    tasks = [
        asyncio.create_task(herd.live(number))
        for number in range(offset, offset + count)
    ]
    said = -1
    while tasks:
        if herd.welcome != said:
            said = herd.welcome
            print(said, flush=True)
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
