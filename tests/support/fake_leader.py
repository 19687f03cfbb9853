"""A leader on a real socket, played by a test.

By default it is a small correct leader: it welcomes, grants starts, acknowledges results,
stores output by the offset rule. A test changes single answers by setting the switches,
says what to lease, and awaits facts with `until`. State outlives its server, so `cut`
(every connection breaks, the port stays) looks to a worker like a lost network, and
`down`/`up` like a leader that was away.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Self

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import aio

from jobs_grpc.v1 import worker_service_pb2 as wire
from jobs_grpc.v1.execution_pb2 import OutputStream
from jobs_grpc.v1.worker_service_pb2_grpc import (
    WorkerServiceServicer,
    add_WorkerServiceServicer_to_server,
)
from jobs_grpc.wire.channel import SERVER_OPTIONS

# Longer than a worker waits for a welcome (15 s): a connection made in the instant in which
# a server goes may be answered by nobody.
PATIENCE_SECONDS = 20.0


def seconds(value: float) -> Duration:
    """Return a duration message."""
    made = Duration()
    made.FromNanoseconds(int(value * 1e9))
    return made


@dataclass(slots=True)
class Log:
    """The stored output of one attempt."""

    data: bytearray = field(default_factory=bytearray)
    by_stream: dict[int, bytearray] = field(default_factory=dict)
    chunks: list[wire.OutputChunk] = field(default_factory=list)
    # Ranges that the worker said it has dropped; zeros stand for them in `data`.
    gaps: list[tuple[int, int]] = field(default_factory=list)

    def store(self, chunk: wire.OutputChunk) -> None:
        """Store what is new of a chunk; a hole is not stored, unless it was dropped."""
        size = len(self.data)
        if chunk.dropped_from <= size < chunk.offset <= chunk.dropped_to:
            self.gaps.append((size, chunk.offset))
            self.data += bytes(chunk.offset - size)
        known = len(self.data) - chunk.offset
        if known < 0 or known >= len(chunk.data):
            return
        self.data += chunk.data[known:]
        self.by_stream.setdefault(chunk.stream, bytearray()).extend(chunk.data[known:])

    def text(self, stream: OutputStream.ValueType) -> str:
        """Return what one stream holds."""
        return self.by_stream.get(stream, bytearray()).decode()

    @property
    def stdout(self) -> str:
        """What the attempt wrote to its standard output."""
        return self.text(OutputStream.OUTPUT_STREAM_STDOUT)

    @property
    def system(self) -> str:
        """What the worker has to say about the output."""
        return self.text(OutputStream.OUTPUT_STREAM_SYSTEM)

    @property
    def stderr(self) -> str:
        """What the attempt wrote to its standard error."""
        return self.text(OutputStream.OUTPUT_STREAM_STDERR)


class FakeLeader(WorkerServiceServicer):
    """One leader; any number of workers, told apart only by their fences."""

    def __init__(
        self, *, heartbeat_seconds: float = 0.2, ttl_seconds: float = 30.0
    ) -> None:
        self.term = 1
        self.heartbeat_seconds = heartbeat_seconds
        self.ttl_seconds = ttl_seconds
        # Switches.
        self.grants_starts = True
        self.refuses_starts = False
        self.acknowledges_results = True
        self.acknowledges_output = True
        self.refuses_output = False
        self.acknowledges_heartbeats = True
        # (Seconds between heartbeats, time to live) that acknowledgments tell.
        self.times: tuple[float, float] | None = None
        self.go_away: wire.GoAway | None = None
        self.judge: Callable[[wire.InventoryEntry], wire.InventoryVerdict.ValueType] = (
            self.judge_fairly
        )
        # What was seen.
        self.hellos: list[wire.Hello] = []
        self.reports: list[wire.Report] = []
        self.batches: list[int] = []
        self.beats = 0
        # Why the worker takes no work, by its last heartbeat.
        self.closed = ""
        self.goodbyes: list[str] = []
        self.finished: dict[int, wire.Finished] = {}
        self.outputs: dict[int, Log] = {}
        self.connections = 0
        self.output_streams = 0
        self.port = 0
        self._fences = itertools.count(1)
        self._sessions = itertools.count(1)
        self._outgoing: list[asyncio.Queue[wire.LeaderMessage | None]] = []
        self._server: aio.Server | None = None
        self._changed = asyncio.Condition()
        self._handlers: set[asyncio.Task[Any]] = set()

    # Life -----------------------------------------------------------------------------

    @property
    def address(self) -> str:
        """Where workers find it."""
        return f"127.0.0.1:{self.port}"

    async def up(self) -> None:
        """Listen; again on the same port after `down`."""
        while True:
            server = aio.server(options=SERVER_OPTIONS)
            add_WorkerServiceServicer_to_server(self, server)
            try:
                self.port = server.add_insecure_port(f"127.0.0.1:{self.port}")
            except RuntimeError:  # the port of the last one is not free yet
                await asyncio.sleep(0.01)
                continue
            await server.start()
            self._server = server
            return

    async def down(self) -> None:
        """Break every connection and listen no more."""
        assert self._server is not None
        await self._server.stop(None)
        self._server = None
        for handler in tuple(self._handlers):
            handler.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)

    async def cut(self) -> None:
        """Break every connection."""
        await self.down()
        await self.up()

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            await self.down()

    # What a test says -----------------------------------------------------------------

    def lease(self, work: wire.Work | None = None, **fields: Any) -> int:
        """Lease an attempt to whoever is connected; return its fence."""
        made = self.make_lease(work, **fields)
        self.send(wire.LeaderMessage(leases=wire.Leases(leases=[made])))
        return made.fence

    def make_lease(self, work: wire.Work | None = None, **fields: Any) -> wire.Lease:
        """Return a lease with a fresh fence; at least once unless said."""
        fence = fields.pop("fence", None) or next(self._fences)
        return wire.Lease(
            fence=fence,
            **{
                "execution_id": f"execution-{fence}",
                "attempt": 1,
                "namespace": "default",
                "workspace": "_standalone_",
                "job": "a-job",
                "delivery": wire.DELIVERY_AT_LEAST_ONCE,
                "work": work,
                **fields,
            },
        )

    def command(self, *argv: str, **fields: Any) -> int:
        """Lease a command: one word is a shell line, more are an argument vector."""
        command = (
            wire.CommandWork(line=argv[0])
            if len(argv) == 1
            else wire.CommandWork(argv=argv)
        )
        work = fields.pop("work", {})
        return self.lease(wire.Work(command=command, **work), **fields)

    def script(self, text: str, interpreter: str = "", **fields: Any) -> int:
        """Lease a script."""
        script = wire.ScriptWork(text=text, interpreter=interpreter)
        return self.lease(wire.Work(script=script), **fields)

    def function(self, name: str, arguments_json: str = "", **fields: Any) -> int:
        """Lease a function."""
        call = wire.FunctionWork(name=name, arguments_json=arguments_json)
        work = fields.pop("work", {})
        return self.lease(wire.Work(function=call, **work), **fields)

    def cancel(self, fence: int, reason: str = "requested by a test") -> None:
        """Ask for the end of an attempt."""
        cancel = wire.Cancel(fence=fence, reason=reason)
        self.send(wire.LeaderMessage(cancels=wire.Cancels(cancels=[cancel])))

    def send(self, message: wire.LeaderMessage) -> None:
        """Say something to every connected worker."""
        for outgoing in self._outgoing:
            outgoing.put_nowait(message)

    async def until(self, fact: Callable[[], object]) -> None:
        """Wait for a fact; fail when it does not come."""
        async with asyncio.timeout(PATIENCE_SECONDS), self._changed:
            await self._changed.wait_for(fact)

    async def connected(self) -> None:
        """Wait for a connected worker."""
        await self.until(lambda: self._outgoing)

    async def end_of(self, fence: int) -> wire.Finished:
        """Wait for the report of an attempt's end, and for all of its output."""
        await self.until(lambda: fence in self.finished)
        finished = self.finished[fence]
        await self.until(lambda: len(self.log(fence).data) >= finished.output_bytes)
        return finished

    def log(self, fence: int) -> Log:
        """Return the output of an attempt."""
        return self.outputs.setdefault(fence, Log())

    def kinds(self, fence: int) -> list[str]:
        """Return what was reported of an attempt, in order."""
        return [
            str(report.WhichOneof("report"))
            for report in self.reports
            if report.fence == fence
        ]

    def judge_fairly(
        self, entry: wire.InventoryEntry
    ) -> wire.InventoryVerdict.ValueType:
        """Judge as a leader that has lost nothing does."""
        if entry.fence in self.finished and self.acknowledges_results:
            return wire.INVENTORY_VERDICT_FORGET
        if entry.phase == wire.ATTEMPT_PHASE_FINISHED:
            return wire.INVENTORY_VERDICT_SEND_RESULT
        return wire.INVENTORY_VERDICT_ADOPT

    # The service ----------------------------------------------------------------------

    async def Connect(
        self, request_iterator: Any, context: Any
    ) -> AsyncIterator[wire.LeaderMessage]:
        outgoing: asyncio.Queue[wire.LeaderMessage | None] = asyncio.Queue()
        reader = self._spawn(self._listen(request_iterator, outgoing))
        try:
            while (message := await outgoing.get()) is not None:
                yield message
        finally:
            reader.cancel()
            if outgoing in self._outgoing:
                self._outgoing.remove(outgoing)
                await self._note()

    async def PushOutput(
        self, request_iterator: Any, context: Any
    ) -> AsyncIterator[wire.OutputAck]:
        self.output_streams += 1
        async for chunk in request_iterator:
            log = self.log(chunk.fence)
            log.chunks.append(chunk)
            log.store(chunk)
            await self._note()
            if self.refuses_output:
                yield wire.OutputAck(fence=chunk.fence, refused=True)
            elif self.acknowledges_output:
                yield wire.OutputAck(fence=chunk.fence, offset=len(log.data))

    async def _listen(
        self,
        request_iterator: AsyncIterator[wire.WorkerMessage],
        outgoing: asyncio.Queue[wire.LeaderMessage | None],
    ) -> None:
        async for message in request_iterator:
            match message.WhichOneof("message"):
                case "hello":
                    self._welcome(message.hello, outgoing)
                case "heartbeat":
                    self.beats += 1
                    self.closed = message.heartbeat.closed
                    if self.acknowledges_heartbeats:
                        ack = wire.HeartbeatAck(sequence=message.heartbeat.sequence)
                        if self.times is not None:
                            ack.heartbeat_every.CopyFrom(seconds(self.times[0]))
                            ack.session_ttl.CopyFrom(seconds(self.times[1]))
                        outgoing.put_nowait(wire.LeaderMessage(heartbeat_ack=ack))
                case "reports":
                    self._take_in(message.reports.reports, outgoing)
                case "goodbye":
                    self.goodbyes.append(message.goodbye.reason)
            await self._note()
        outgoing.put_nowait(None)

    def _welcome(
        self, hello: wire.Hello, outgoing: asyncio.Queue[wire.LeaderMessage | None]
    ) -> None:
        self.hellos.append(hello)
        if self.go_away is not None:
            outgoing.put_nowait(wire.LeaderMessage(go_away=self.go_away))
            outgoing.put_nowait(None)
            return
        welcome = wire.Welcome(
            session_id=hello.session_id or f"session-{next(self._sessions)}",
            term=self.term,
            heartbeat_every=seconds(self.heartbeat_seconds),
            session_ttl=seconds(self.ttl_seconds),
            protocol=1,
            answers=[
                wire.Welcome.Answer(fence=entry.fence, verdict=self.judge(entry))
                for entry in hello.inventory
            ],
        )
        outgoing.put_nowait(wire.LeaderMessage(welcome=welcome))
        self.connections += 1
        self._outgoing.append(outgoing)

    def _take_in(
        self, reports: Any, outgoing: asyncio.Queue[wire.LeaderMessage | None]
    ) -> None:
        acks = wire.Acks()
        self.batches.append(len(reports))
        for report in reports:
            self.reports.append(report)
            match report.WhichOneof("report"):
                case "starting":
                    if self.refuses_starts:
                        acks.start_refused.append(report.fence)
                    elif self.grants_starts:
                        acks.start_granted.append(report.fence)
                case "finished":
                    self.finished[report.fence] = report.finished
                    if self.acknowledges_results:
                        acks.finished.append(report.fence)
        if acks.ByteSize():
            outgoing.put_nowait(wire.LeaderMessage(acks=acks))

    def _spawn(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._handlers.add(task)
        task.add_done_callback(self._handlers.discard)
        return task

    async def _note(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def instant(message: Timestamp) -> float:
    """Return seconds since the epoch."""
    return message.seconds + message.nanos / 1e9
