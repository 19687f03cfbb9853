"""One follower: every byte from its offset on, once, in order, at its own speed.

The follower's **position** is the offset of the next byte it wants; nothing else decides
what it gets. Two sources can serve it:

    backlog   pieces handed over by the hub right after their sync, at most 256 KiB
    log       the file, read in slices of 256 KiB

While it keeps up it lives from the backlog and the file is not read. When the backlog is
full, it is dropped as a whole, the follower is **behind**, and pieces pass it by; it is told
so (`Lagged`) and reads the log until its position is the size of what is stored, and from that moment on (there is
no await in between) it takes pieces again. So a follower that stops reading costs one
backlog and one slice, however much is written, and bytes can neither be lost nor doubled:
a piece that does not begin at the position is trimmed, or the log fills the hole.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from types import TracebackType
from typing import Protocol, Self

from jobs_grpc.controlplane.output.errors import OutputClosedError
from jobs_grpc.controlplane.output.records import (
    Content,
    End,
    FollowEvent,
    Gap,
    GapReason,
    Lagged,
    Piece,
    Stream,
)
from jobs_grpc.controlplane.output.watch import Watch


class FollowersHub(Protocol):
    """What a follower needs of the hub."""

    async def brief(self, watch: Watch) -> None:
        """Bring the watch up to date with the store and the execution's row."""
        ...

    async def read(self, watch: Watch, from_offset: int) -> list[Content]:
        """Return a slice of the log."""
        ...


class Follower:
    """An async iterator over pieces, gaps and `Lagged` that ends with one `End`.

    Made by `Hub.follow`. Close it (`async with` does) if it is left before its end.
    """

    def __init__(
        self,
        hub: FollowersHub,
        watch: Watch,
        *,
        from_offset: int,
        streams: Collection[Stream],
        follow: bool,
        backlog_bytes: int,
        on_close: Callable[[Follower], None],
    ) -> None:
        self.watch = watch
        self._hub = hub
        self._position = from_offset
        self._streams = frozenset(streams)
        self._follow = follow
        # Without `follow`: the size at the first briefing.
        self._stop_at: int | None = None
        self._backlog_limit = backlog_bytes
        self._on_close = on_close
        self._ready: deque[FollowEvent] = deque()
        self._backlog: deque[Piece] = deque()
        self._backlog_bytes = 0
        self._is_behind = True
        # Its backlog was dropped, and it has not been told yet.
        self._has_lagged = False
        self._wants_briefing = True
        self._has_gap = False
        self._is_over = False
        self._is_cut_off = False
        self._wake = asyncio.Event()

    @property
    def position(self) -> int:
        """The offset of the next byte wanted."""
        return self._position

    @property
    def backlog_bytes(self) -> int:
        """What is held in memory for this follower alone."""
        return self._backlog_bytes

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> FollowEvent:
        """Return the next event.

        Raises:
            OutputStorageError: the log cannot be read now.
            OutputClosedError: this process stops; go on elsewhere at `position`.
        """
        while not self._ready:
            if self._is_over:
                raise StopAsyncIteration
            await self._advance()
        event = self._ready.popleft()
        if isinstance(event, End):
            await self.aclose()
        return event

    async def aclose(self) -> None:
        """Leave; the place is free for another follower."""
        if not self._is_over:
            self._is_over = True
            self._drop_backlog()
            self._on_close(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    # From here on: for the hub.

    def offer(self, pieces: Sequence[Piece]) -> None:
        """Hand over what was just stored."""
        if not self._is_behind:
            for piece in pieces:
                self._backlog_bytes += len(piece.data)
                self._backlog.append(piece)
            if self._backlog_bytes > self._backlog_limit:
                self._drop_backlog()
                self._is_behind = self._has_lagged = True
        self._wake.set()

    def nudge(self, *, briefing: bool = False) -> None:
        """Have another look, at the execution's row too if `briefing`."""
        self._wants_briefing |= briefing
        self._wake.set()

    def cut_off(self) -> None:
        """End without an `End`: the process stops."""
        self._is_cut_off = True
        self._wake.set()

    # From here on: the reader's own task.

    async def _advance(self) -> None:
        """Come one step further: some events, or a wait for news."""
        if self._is_cut_off:
            await self.aclose()
            raise OutputClosedError
        if self._wants_briefing:
            self._wants_briefing = False
            await self._hub.brief(self.watch)
            if not self._follow and self._stop_at is None:
                self._stop_at = self.watch.size
        elif self._backlog and self._backlog[0].offset <= self._position:
            piece = self._backlog.popleft()
            self._backlog_bytes -= len(piece.data)
            self._take(piece)
        elif self._stop_at is not None and self._position >= self._stop_at:
            self._finish()
        elif self._has_lagged:
            self._has_lagged = False
            # One that waits for bytes still to come did not need what was dropped.
            if self._position < self.watch.size:
                self._ready.append(Lagged(offset=self._position))
        elif self._position < self.watch.size:
            for content in await self._hub.read(self.watch, self._position):
                self._take(content)
        elif self.watch.is_over:
            self._finish()
        else:
            self._is_behind = False
            self._wake.clear()
            await self._wake.wait()

    def _take(self, content: Content) -> None:
        """Pass on what of `content` is new, and move."""
        known = self._position - content.offset
        if content.end <= self._position:
            return
        self._position = content.end
        if isinstance(content, Gap):
            # What the limit dropped was never to be had.
            self._has_gap |= content.reason is not GapReason.DROPPED
            self._ready.append(content)
        elif not self._streams or content.stream in self._streams:
            self._ready.append(_without(content, known))

    def _finish(self) -> None:
        watch = self.watch
        missing = watch.missing_from(self._position) if watch.is_over else None
        if missing is not None:
            self._ready.append(missing)
        has_read_all = self._position >= watch.size and not self._has_gap
        self._ready.append(
            End(
                log_complete=watch.is_complete and has_read_all,
                next_offset=self._position,
            )
        )

    def _drop_backlog(self) -> None:
        self._backlog.clear()
        self._backlog_bytes = 0


def _without(piece: Piece, known: int) -> Piece:
    """Return the piece without its first `known` bytes."""
    if known <= 0:
        return piece
    return Piece(
        stream=piece.stream,
        offset=piece.offset + known,
        time_us=piece.time_us,
        data=piece.data[known:],
    )
