"""WorkerService: the stream of a session.

One task owns `read()`, one owns `write()`, and neither is ever cancelled by a timeout: a
server-side read of grpc.aio that was cancelled reports the end of the stream for ever
after. Between the write side and the core stands the outbox.

A stream ends by a message (Goodbye, GoAway). Any other end is a broken stream: the
session lives on, the worker's jobs too.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Callable, Iterable
from typing import Any, Final

import grpc
from grpc.aio import EOF, ServicerContext

from jobs_grpc.controlplane.core.fleet import session_time
from jobs_grpc.controlplane.core.state.effects import (
    CancelWanted,
    DrainWanted,
    LeaseGranted,
    ResultKept,
    SessionGone,
    SessionWelcomed,
    StartGranted,
    StartRefused,
)
from jobs_grpc.controlplane.core.state.errors import InvalidError, ProtocolMismatchError
from jobs_grpc.controlplane.core.state.inputs import (
    Beat,
    CloseSession,
    Held,
    Input,
    OpenSession,
    StreamClosed,
)
from jobs_grpc.controlplane.leader.journal import NotLeadingError, OverloadedError
from jobs_grpc.controlplane.leader.leader import Leader
from jobs_grpc.controlplane.leader.outboxes import BeatEchoed, Item, Outbox, SentAway
from jobs_grpc.v1 import worker_service_pb2 as pb
from jobs_grpc.v1.worker_service_pb2_grpc import WorkerServiceServicer
from jobs_grpc.wire.channel import PROTOCOL_VERSION
from jobs_grpc.wire.time import duration, microseconds

from . import convert
from .lease_message import LeaseEncoder, weight
from .pushing import Pushing
from .report_message import reports_of

Context = ServicerContext[Any, Any]

# A message of leases is cut at about this size (the limit is 4 MiB), and at this many:
# the worker begins the first while the next message is made, and both stay busy.
_LEASES_BYTES: Final = 1_000_000
_LEASES: Final = 128
_PAUSE_WHEN_OVERLOADED: Final = 0.05
# So many workers are welcomed at a time; others come back within this window, seconds.
MOST_GREETINGS: Final = 500
_SHED: Final = (0.5, 5.0)
_PHASES: Final = {
    pb.AttemptPhase.ATTEMPT_PHASE_LEASED: "leased",
    pb.AttemptPhase.ATTEMPT_PHASE_STARTING: "starting",
    pb.AttemptPhase.ATTEMPT_PHASE_RUNNING: "running",
    pb.AttemptPhase.ATTEMPT_PHASE_FINISHED: "finished",
}


class WorkerService(WorkerServiceServicer):
    """See the contract."""

    def __init__(self, leader: Leader, pushing: Pushing) -> None:
        self._leader = leader
        self._pushing = pushing
        self._leases = LeaseEncoder()
        # Workers that have said hello and are not welcomed yet.
        self._greetings = 0

    async def Connect(self, requests: Any, context: Context) -> None:  # type: ignore[override]
        first = await context.read()
        if first is EOF:
            return
        if first.WhichOneof("message") != "hello":
            raise InvalidError("the first message of a worker must be Hello")
        hello = first.hello
        _check_protocol(hello)
        if self._greetings >= MOST_GREETINGS:
            await self._shed(context)
            return
        outbox = self._leader.outboxes.open()
        session_id = ""
        self._greetings += 1
        try:
            try:
                opened = await self._leader.submit(_open_session(hello, outbox.stream))
            except OverloadedError:
                await self._shed(context)
                return
            finally:
                self._greetings -= 1
            session_id = str(opened)
            reader = asyncio.create_task(
                self._read(context, outbox, session_id), name="session reader"
            )
            try:
                await self._write(context, outbox)
            finally:
                # The read ends with the stream; cancelling it here is safe, nobody
                # reads this stream again.
                reader.cancel()
                await asyncio.wait([reader])
        finally:
            self._leader.outboxes.close(outbox)
            if session_id:
                self._tell_quietly(StreamClosed(session_id, outbox.stream))

    async def _shed(self, context: Context) -> None:
        """Send a worker away that comes when too many others do, to come back later."""
        after = random.uniform(*_SHED)  # noqa: S311 - to spread them, not to hide
        away = _go_away("too many workers come at once", after)
        await context.write(pb.LeaderMessage(go_away=away))

    async def PushOutput(self, requests: Any, context: Context) -> None:  # type: ignore[override]
        await self._pushing.push(context)

    async def _read(self, context: Context, outbox: Outbox, session_id: str) -> None:
        try:
            while True:
                message = await context.read()
                if message is EOF:
                    return
                await self._take(message, outbox, session_id)
        except (grpc.RpcError, NotLeadingError):
            pass
        finally:
            outbox.put(SentAway("the stream ended", 0.0))

    async def _take(
        self, message: pb.WorkerMessage, outbox: Outbox, session_id: str
    ) -> None:
        kind = message.WhichOneof("message")
        if kind == "reports":
            await self._tell(reports_of(session_id, message.reports))
        elif kind == "heartbeat":
            beat = message.heartbeat
            # A worker that takes no work now is to be given none at once.
            tell = self._leader.tell if beat.closed else self._leader.tell_sometime
            await self._tell(Beat(session_id, beat.closed), tell)
            outbox.put(BeatEchoed(beat.sequence, self._leader.longer_ttl))
        elif kind == "goodbye":
            await self._tell(CloseSession(session_id, outbox.stream))

    async def _tell(
        self, one: Input, tell: Callable[[Input], None] | None = None
    ) -> None:
        """Hand an input to the core; while it has too much, do not read on."""
        while True:
            try:
                (tell or self._leader.tell)(one)
            except OverloadedError:
                await asyncio.sleep(_PAUSE_WHEN_OVERLOADED)
            else:
                return

    def _tell_quietly(self, one: Input) -> None:
        try:
            self._leader.tell(one)
        except (NotLeadingError, OverloadedError):
            # The next term, or the session's own time, settles it.
            return

    async def _write(self, context: Context, outbox: Outbox) -> None:
        while True:
            items = await outbox.take()
            for message in self._messages(items):
                await context.write(message)
            if any(isinstance(item, SentAway | SessionGone) for item in items):
                return

    def _messages(self, items: Iterable[Item]) -> Iterable[pb.LeaderMessage]:
        """Return the items as messages: what can travel together does, in order."""
        acks = pb.Acks()
        leases: list[LeaseGranted] = []
        cancels: list[pb.Cancel] = []
        for item in items:
            match item:
                case LeaseGranted():
                    leases.append(item)
                case StartGranted():
                    acks.start_granted.append(item.fence)
                case StartRefused():
                    acks.start_refused.append(item.fence)
                case ResultKept():
                    acks.finished.append(item.fence)
                case CancelWanted():
                    cancels.append(pb.Cancel(fence=item.fence, reason=item.reason))
                case _:
                    yield self._message_of(item)
        yield from self._lease_messages(leases)
        # After the leases: a cancel may speak of one of them.
        if cancels:
            yield pb.LeaderMessage(cancels=pb.Cancels(cancels=cancels))
        if acks.ByteSize():
            yield pb.LeaderMessage(acks=acks)

    def _message_of(
        self,
        item: SessionWelcomed | SessionGone | DrainWanted | BeatEchoed | SentAway,
    ) -> pb.LeaderMessage:
        match item:
            case SessionWelcomed():
                return pb.LeaderMessage(welcome=self._welcome(item))
            case DrainWanted():
                drain = pb.Drain(deadline=duration(item.deadline))
                return pb.LeaderMessage(drain=drain)
            case BeatEchoed():
                return pb.LeaderMessage(heartbeat_ack=self._echo(item))
            case SentAway():
                return pb.LeaderMessage(go_away=_go_away(item.reason, item.after))
            case SessionGone():
                return pb.LeaderMessage(go_away=_go_away("session ended", 0.0))

    def _lease_messages(self, leases: list[LeaseGranted]) -> Iterable[pb.LeaderMessage]:
        batch: list[pb.Lease] = []
        size = 0
        for granted in leases:
            batch.append(self._leases.encode(granted))
            size += weight(granted.execution)
            if size > _LEASES_BYTES or len(batch) == _LEASES:
                yield pb.LeaderMessage(leases=pb.Leases(leases=batch))
                batch, size = [], 0
        if batch:
            yield pb.LeaderMessage(leases=pb.Leases(leases=batch))

    def _echo(self, item: BeatEchoed) -> pb.HeartbeatAck:
        if item.session_ttl is None:
            return pb.HeartbeatAck(sequence=item.sequence)
        return pb.HeartbeatAck(
            sequence=item.sequence,
            heartbeat_every=duration(item.session_ttl // session_time.BEATS),
            session_ttl=duration(item.session_ttl),
        )

    def _welcome(self, welcomed: SessionWelcomed) -> pb.Welcome:
        return pb.Welcome(
            session_id=welcomed.session_id,
            term=self._leader.term,
            heartbeat_every=duration(self._leader.session_ttl // session_time.BEATS),
            session_ttl=duration(self._leader.session_ttl),
            protocol=PROTOCOL_VERSION,
            answers=[
                pb.Welcome.Answer(
                    fence=fence,
                    verdict=pb.InventoryVerdict.Value(
                        f"INVENTORY_VERDICT_{verdict.upper()}"
                    ),
                )
                for fence, verdict in welcomed.verdicts
            ],
        )


def _go_away(reason: str, after: float) -> pb.GoAway:
    return pb.GoAway(reason=reason, reconnect_after=duration(round(after * 1_000_000)))


def _check_protocol(hello: pb.Hello) -> None:
    if not hello.protocol_min <= PROTOCOL_VERSION <= hello.protocol_max:
        raise ProtocolMismatchError(
            f"worker {hello.worker_name} speaks protocol {hello.protocol_min} to"
            f" {hello.protocol_max}, this control plane speaks {PROTOCOL_VERSION}",
            hint="install the same version of jobs-grpc on both",
        )
    if not hello.worker_id or hello.slots < 1:
        raise InvalidError("a worker needs an id and at least one slot", field="slots")


def _open_session(hello: pb.Hello, stream: int) -> OpenSession:
    return OpenSession(
        stream=stream,
        new_session_id=uuid.uuid4().hex,
        worker_id=hello.worker_id,
        worker=hello.worker_name,
        labels=convert.labels(hello.labels),
        slots=hello.slots,
        functions=tuple(hello.functions),
        version=hello.version,
        held=tuple(
            Held(
                fence=entry.fence,
                phase=_PHASES.get(entry.phase, "running"),
                started_at=(
                    microseconds(entry.started_at)
                    if entry.HasField("started_at")
                    else None
                ),
            )
            for entry in hello.inventory
        ),
    )
