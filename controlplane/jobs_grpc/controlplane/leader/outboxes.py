"""What waits to be said to each worker, in order.

Messages of committed steps are put here by session; the stream that carries the session
takes them. A message for a session without a stream is dropped: the worker's next hello
tells what it holds, and the welcome settles the difference.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from jobs_grpc.controlplane.core.state.effects import Message, SessionWelcomed

# At about this rate workers are asked to come back.
HELLOS_PER_SECOND: Final = 500


@dataclass(frozen=True, slots=True)
class BeatEchoed:
    """The answer to a heartbeat: it was seen."""

    sequence: int
    # How long its session lives now, in microseconds, where that is not what it was told
    # in its welcome.
    session_ttl: int | None = None


@dataclass(frozen=True, slots=True)
class SentAway:
    """The stream ends from this side; the worker comes back after `after` seconds."""

    reason: str
    after: float


Item = Message | BeatEchoed | SentAway


@dataclass(slots=True, eq=False)
class Outbox:
    """The messages for one stream."""

    stream: int
    # The session that it carries; "" before its welcome.
    session_id: str = ""
    _items: deque[Item] = field(default_factory=deque)
    _filled: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, item: Item) -> None:
        self._items.append(item)
        self._filled.set()

    async def take(self) -> list[Item]:
        """Wait for messages, and return all there are."""
        await self._filled.wait()
        self._filled.clear()
        items = list(self._items)
        self._items.clear()
        return items


class Outboxes:
    """The outboxes of all open streams."""

    def __init__(self) -> None:
        self._streams = 0
        self._by_stream: dict[int, Outbox] = {}
        self._by_session: dict[str, Outbox] = {}

    def open(self) -> Outbox:
        """Return the outbox of a new stream; it gets a session with its welcome."""
        self._streams += 1
        outbox = Outbox(self._streams)
        self._by_stream[outbox.stream] = outbox
        return outbox

    def close(self, outbox: Outbox) -> None:
        self._by_stream.pop(outbox.stream, None)
        if self._by_session.get(outbox.session_id) is outbox:
            del self._by_session[outbox.session_id]

    def deliver(self, message: Message) -> None:
        """Put a message where its session's stream takes it."""
        if isinstance(message, SessionWelcomed):
            opened = self._by_stream.get(message.stream)
            if opened is None:
                return
            replaced = self._by_session.get(message.session_id)
            if replaced is not None and replaced is not opened:
                replaced.put(SentAway("another stream carries the session now", 0.0))
            self._by_session[message.session_id] = opened
            opened.session_id = message.session_id
        outbox = self._by_session.get(message.session_id)
        if outbox is not None:
            outbox.put(message)

    def send_all_away(self, reason: str, after: float) -> None:
        """Ask every worker to come back later: many of them not all at one moment."""
        for number, outbox in enumerate(self._by_stream.values()):
            outbox.put(SentAway(reason, after + number / HELLOS_PER_SECOND))

    def __len__(self) -> int:
        return len(self._by_stream)
