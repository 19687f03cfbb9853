"""A worker that says what its test tells it to say, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Self

import grpc

from jobs_grpc.v1 import worker_service_pb2 as pb
from jobs_grpc.v1.execution_pb2 import OutputStream
from jobs_grpc.wire.time import timestamp
from support.calls import Calls
from support.jobs import NOON, SECOND

PATIENCE = 10.0
_OUTCOMES = {
    "succeeded": pb.AttemptOutcome.ATTEMPT_OUTCOME_SUCCEEDED,
    "failed": pb.AttemptOutcome.ATTEMPT_OUTCOME_FAILED,
    "timed_out": pb.AttemptOutcome.ATTEMPT_OUTCOME_TIMED_OUT,
    "cancelled": pb.AttemptOutcome.ATTEMPT_OUTCOME_CANCELLED,
    "lost": pb.AttemptOutcome.ATTEMPT_OUTCOME_LOST,
    "not_started": pb.AttemptOutcome.ATTEMPT_OUTCOME_NOT_STARTED,
}


def entry(fence: int, phase: str, **fields: Any) -> pb.InventoryEntry:
    """Return an attempt that is still held. `phase`: leased, running, finished, …"""
    value = pb.AttemptPhase.Value(f"ATTEMPT_PHASE_{phase.upper()}")
    return pb.InventoryEntry(fence=fence, phase=value, **fields)


class ScriptedWorker:
    """One stream of a session; enter it to say hello."""

    def __init__(self, calls: Calls, name: str = "w1", **fields: Any) -> None:
        usual: dict[str, Any] = {
            "worker_id": f"id-of-{name}",
            "worker_name": name,
            "protocol_min": 1,
            "protocol_max": 1,
            "slots": 1,
            "version": "0.1.0",
        }
        self.hello = pb.Hello(**{**usual, **fields})
        self._calls = calls
        self._stream: Any = None
        self.welcome = pb.Welcome()
        # Acknowledgements come in any grouping: they are taken one by one.
        self._granted: list[int] = []
        self._refused: list[int] = []
        self._kept: list[int] = []
        self._leases: list[pb.Lease] = []

    async def __aenter__(self) -> Self:
        self._stream = self._calls.workers.Connect()
        await self.say(hello=self.hello)
        first = await self.hear()
        assert first.WhichOneof("message") == "welcome", first
        self.welcome = first.welcome
        return self

    async def __aexit__(self, *error: object) -> None:
        self.cut()

    def cut(self) -> None:
        """Break the stream without a word."""
        self._stream.cancel()

    async def say(self, **message: Any) -> None:
        await self._stream.write(pb.WorkerMessage(**message))

    async def report(self, fence: int, **report: Any) -> None:
        reports = pb.Reports(reports=[pb.Report(fence=fence, **report)])
        await self.say(reports=reports)

    async def hear(self) -> pb.LeaderMessage:
        """Return the next message of any kind."""
        async with asyncio.timeout(PATIENCE):
            message = await self._stream.read()
        assert message is not grpc.aio.EOF, "the stream has ended"
        assert isinstance(message, pb.LeaderMessage)
        return message

    async def hear_the_end(self) -> None:
        """Wait until the leader closes the stream."""
        async with asyncio.timeout(PATIENCE):
            while (await self._stream.read()) is not grpc.aio.EOF:
                pass

    async def quiet(self, seconds: float = 0.1) -> list[pb.LeaderMessage]:
        """Say a beat, and return what comes before its echo: nothing else is on its way."""
        await asyncio.sleep(seconds)
        await self.say(heartbeat=pb.Heartbeat(sequence=991))
        heard: list[pb.LeaderMessage] = []
        while True:
            message = await self.hear()
            if message.heartbeat_ack.sequence == 991:
                return heard
            heard.append(message)

    async def _until(self, gathered: list[Any]) -> Any:
        while not gathered:
            message = await self.hear()
            self._leases.extend(message.leases.leases)
            self._granted.extend(message.acks.start_granted)
            self._refused.extend(message.acks.start_refused)
            self._kept.extend(message.acks.finished)
        return gathered.pop(0)

    async def lease(self) -> pb.Lease:
        """Return the next lease."""
        lease = await self._until(self._leases)
        assert isinstance(lease, pb.Lease)
        return lease

    async def leases(self, count: int) -> Sequence[pb.Lease]:
        return [await self.lease() for _ in range(count)]

    async def start(self, fence: int) -> None:
        """Ask for the start of an attempt, and wait for its grant."""
        await self.report(fence, starting=pb.Starting())
        assert await self._until(self._granted) == fence

    async def start_in_vain(self, fence: int) -> None:
        await self.report(fence, starting=pb.Starting())
        assert await self._until(self._refused) == fence

    async def finish(
        self, fence: int, outcome: str = "succeeded", **fields: Any
    ) -> None:
        """Send a result, and wait until it is durable."""
        usual = {
            "outcome": _OUTCOMES[outcome],
            "started_at": timestamp(NOON),
            "finished_at": timestamp(NOON + SECOND),
        }
        await self.report(fence, finished=pb.Finished(**{**usual, **fields}))
        assert await self.kept() == fence

    async def kept(self) -> int:
        """Return the fence of the next result that is said to be durable."""
        return int(await self._until(self._kept))

    async def run(self, outcome: str = "succeeded", **fields: Any) -> pb.Lease:
        """Take the next lease to its end."""
        lease = await self.lease()
        await self.start(lease.fence)
        await self.finish(lease.fence, outcome, **fields)
        return lease

    def verdicts(self) -> dict[int, str]:
        return {
            answer.fence: pb.InventoryVerdict.Name(answer.verdict)
            .removeprefix("INVENTORY_VERDICT_")
            .lower()
            for answer in self.welcome.answers
        }


class OutputPusher:
    """The output stream of a worker."""

    def __init__(self, calls: Calls) -> None:
        self._stream: Any = calls.workers.PushOutput()

    async def push(
        self, lease: pb.Lease, offset: int, data: bytes, *, stream: str = "stdout"
    ) -> pb.OutputAck:
        """Send a chunk, and return the answer to it."""
        await self._stream.write(
            pb.OutputChunk(
                fence=lease.fence,
                execution_id=lease.execution_id,
                attempt=lease.attempt,
                stream=OutputStream.Value(f"OUTPUT_STREAM_{stream.upper()}"),
                offset=offset,
                time=timestamp(NOON),
                data=data,
            )
        )
        async with asyncio.timeout(PATIENCE):
            ack = await self._stream.read()
        assert isinstance(ack, pb.OutputAck)
        return ack

    async def close(self) -> None:
        await self._stream.done_writing()
        async with asyncio.timeout(PATIENCE):
            while (await self._stream.read()) is not grpc.aio.EOF:
                pass
