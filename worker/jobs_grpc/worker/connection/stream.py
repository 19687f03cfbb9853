"""One life of the session's stream, from hello to its end.

One task reads, one writes, one beats; none of them is ever cancelled by a timeout. A
cancelled read or write would end the whole call, and a stream that is silent is ended on
purpose and in one place (`_drop`).

Every stream ends, and almost every end is the same: a broken stream, not a failed job.
The exceptions are said in words: the leader's `GoAway`, and our own `Goodbye`.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from grpc import aio

from jobs_grpc.runtime.clock import Clock
from jobs_grpc.runtime.tasks import Supervisor
from jobs_grpc.v1 import worker_service_pb2 as wire
from jobs_grpc.wire.channel import KEEPALIVE_TIMEOUT_SECONDS, PROTOCOL_VERSION
from jobs_grpc.wire.time import microseconds
from jobs_grpc.worker.connection import convert
from jobs_grpc.worker.connection.calls import StreamEnd, read, write
from jobs_grpc.worker.connection.push import push_output
from jobs_grpc.worker.identity import Identity
from jobs_grpc.worker.session import Session
from jobs_grpc.worker.shipping import Shipping
from jobs_grpc.worker.trust import Trust

if TYPE_CHECKING:  # the stubs know it, the generated code does not
    from jobs_grpc.v1.worker_service_pb2_grpc import WorkerServiceAsyncStub

log = logging.getLogger(__name__)

# A leader that loads a large state may be slow to its first words.
WELCOME_SECONDS: Final = 15.0

# A message costs both sides 150 microseconds, however much is in it. What is first after
# a pause leaves at once; what follows close behind is gathered for so long.
LINGER_SECONDS: Final = 0.002

Call: TypeAlias = aio.StreamStreamCall[wire.WorkerMessage, wire.LeaderMessage]


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a stream ended, and what the leader said about coming back."""

    reason: str
    was_welcomed: bool = False
    # None: nothing was said.
    reconnect_after: float | None = None
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a stream serves."""

    session: Session
    shipping: Shipping
    trust: Trust
    identity: Identity
    introduction: convert.Introduction
    clock: Clock


class SessionStream:
    """One stream."""

    def __init__(self, stub: WorkerServiceAsyncStub, parts: Parts) -> None:
        self._stub = stub
        self._parts = parts
        self._call: Call = stub.Connect()
        self._welcome: convert.Welcome | None = None
        self._away: wire.GoAway | None = None
        self._reason = ""
        self._goodbye: str | None = None
        self._is_parting = False
        self._sequence = 0
        self._beat_due = False
        # Seconds between two heartbeats; the leader says how many.
        self._beat_every = 0.0
        # What this stream's leader knows of why no work is taken.
        self._told_closed = ""
        self._beats: dict[int, float] = {}
        self._heard_at = 0.0

    async def run(self) -> Ending:
        """Serve the stream until it ends, and say why."""
        loop = asyncio.get_running_loop()
        watch = loop.call_later(WELCOME_SECONDS, self._drop, "no welcome came")
        try:
            await self._greet()
            watch.cancel()
            if self._welcome is not None:
                await self._serve(self._welcome)
            return self._ending()
        finally:
            watch.cancel()
            self._parts.session.disconnected()
            self._call.cancel()

    def part(self, goodbye: str | None) -> None:
        """End the stream politely; with `goodbye`, end the session too."""
        self._goodbye = goodbye
        self._is_parting = True
        self._parts.session.outbox.stir()

    # ---------------------------------------------------------------------------------

    async def _greet(self) -> None:
        """Say hello, take the answer in."""
        parts = self._parts
        sent_at = parts.clock.monotonic()
        hello = convert.hello(
            parts.introduction,
            session_id=parts.identity.session_id,
            highest_term=parts.identity.highest_term,
            inventory=parts.session.registry,
        )
        await write(self._call, hello)
        message = await read(self._call, wire.LeaderMessage)
        if isinstance(message, StreamEnd):
            self._reason = self._reason or message.reason
            return
        match message.WhichOneof("message"):
            case "welcome":
                self._welcomed(convert.welcome(message.welcome), sent_at)
            case "go_away":
                self._away = message.go_away
            case other:
                self._reason = f"the leader's first word was {other}"

    def _welcomed(self, welcome: convert.Welcome, sent_at: float) -> None:
        parts = self._parts
        if welcome.term < parts.identity.highest_term:
            self._reason = (
                f"the leader is of term {welcome.term}, but term"
                f" {parts.identity.highest_term} was seen already: it is deposed"
            )
            return
        if welcome.protocol != PROTOCOL_VERSION:
            self._reason = (
                f"the leader speaks protocol {welcome.protocol},"
                f" this worker {PROTOCOL_VERSION}"
            )
            return
        if welcome.heartbeat_seconds <= 0 or welcome.ttl_seconds <= 0:
            self._reason = "the leader's welcome names no times"
            return
        self._welcome = welcome
        parts.identity.welcomed(welcome.session_id, welcome.term)
        parts.trust.grant(sent_at, welcome.ttl_seconds)
        self._heard_at = parts.clock.monotonic()
        log.info(
            "connected: session %s, term %d, %d attempts judged",
            welcome.session_id,
            welcome.term,
            len(welcome.verdicts),
        )
        parts.session.judged(welcome.verdicts)
        if parts.session.closed:
            parts.session.outbox.stir()

    async def _serve(self, welcome: convert.Welcome) -> None:
        async with Supervisor() as tasks:
            tasks.start(self._write(), name="session-writer")
            self._beat_every = welcome.heartbeat_seconds
            tasks.start(self._beat(), name="heartbeat")
            tasks.start(push_output(self._stub, self._parts.shipping), name="output")
            await self._read()

    async def _read(self) -> None:
        while True:
            message = await read(self._call, wire.LeaderMessage)
            if isinstance(message, StreamEnd):
                self._reason = self._reason or message.reason
                return
            self._take(message)
            if self._away is not None:
                return

    def _take(self, message: wire.LeaderMessage) -> None:
        session = self._parts.session
        match message.WhichOneof("message"):
            case "leases":
                session.leased([convert.lease(one) for one in message.leases.leases])
            case "acks":
                acks = message.acks
                session.acknowledged(acks.finished)
                session.refused(acks.start_refused)
                session.granted(acks.start_granted)
            case "cancels":
                for one in message.cancels.cancels:
                    session.cancelled(one.fence, one.reason)
            case "drain":
                seconds = microseconds(message.drain.deadline) / 1e6
                log.info("this worker is drained: what runs has %.0fs to end", seconds)
                session.drained()
            case "heartbeat_ack":
                self._heartbeat_acknowledged(message.heartbeat_ack)
            case "go_away":
                self._away = message.go_away
            case other:
                # A newer leader may say more than this worker understands.
                log.info("the leader sent %s, which this worker ignores", other)

    def _heartbeat_acknowledged(self, ack: wire.HeartbeatAck) -> None:
        sent_at = self._beats.pop(ack.sequence, None)
        if sent_at is not None:
            times = convert.session_times(ack)
            if times is not None:
                self._beat_every = times.heartbeat_seconds
                self._parts.trust.lengthen(times.ttl_seconds)
            self._heard_at = self._parts.clock.monotonic()
            self._parts.trust.renew(sent_at)
            self._parts.session.trusted()

    async def _write(self) -> None:
        session, clock = self._parts.session, self._parts.clock
        is_open = True
        written_at = 0.0
        while is_open and not self._is_parting:
            await session.outbox.wait()
            linger = written_at + LINGER_SECONDS - clock.monotonic()
            if linger > 0:
                await asyncio.sleep(linger)
            is_open = await self._write_beat()
            while is_open and (batch := session.batch()):
                is_open = await write(self._call, convert.reports(batch))
                is_open = is_open and await self._write_beat()
            written_at = clock.monotonic()
        if is_open and self._goodbye is not None:
            is_open = await write(self._call, convert.goodbye(self._goodbye))
        if is_open:
            await self._call.done_writing()

    async def _write_beat(self) -> bool:
        closed = self._parts.session.closed
        if not self._beat_due and closed == self._told_closed:
            return True
        self._beat_due, self._told_closed = False, closed
        self._sequence += 1
        self._beats[self._sequence] = self._parts.clock.monotonic()
        return await write(self._call, convert.heartbeat(self._sequence, closed))

    async def _beat(self) -> None:
        """Make the writer send heartbeats, and give up on a leader that is deaf.

        Sent by the loop itself, on purpose: a worker whose loop is stuck should look dead.
        """
        while True:
            every = self._beat_every
            await asyncio.sleep(every)
            silence = self._parts.clock.monotonic() - self._heard_at
            if silence > 2 * every + KEEPALIVE_TIMEOUT_SECONDS:
                self._drop(f"no heartbeat was answered for {silence:.0f}s")
                return
            self._beat_due = True
            self._parts.session.remind()
            self._parts.shipping.remind()
            self._parts.session.outbox.stir()

    def _drop(self, reason: str) -> None:
        self._reason = reason
        self._call.cancel()

    def _ending(self) -> Ending:
        was_welcomed = self._welcome is not None
        away = self._away
        if away is None:
            return Ending(self._reason, was_welcomed)
        after = None
        if away.HasField("reconnect_after"):
            after = microseconds(away.reconnect_after) / 1e6
        words = away.reason or "no reason given"
        return Ending(
            f"the leader sent this worker away: {words}",
            was_welcomed,
            after,
            away.address,
        )
