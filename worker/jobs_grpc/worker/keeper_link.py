"""The session process's end of the keeper's socket.

`KeeperLink.open` connects to the keeper of a directory, or starts one. The keeper is the
authority on processes; this side only asks and listens. What the caller must know:

- Requests are pipelined; each waits for its own answer only. Cancelling the waiting takes
  nothing back: a start that was sent may happen, and may be repeated safely.
- `events` never lags by more than the newest fact: sizes of one spool are merged while
  nobody reads, so its memory is bounded by the number of attempts. There is one reader.
- Events of before the connection are not repeated: `list` after `open`, and expect to
  hear of some attempts twice.
- When the socket breaks, every waiting request fails with `KeeperLostError`, `events`
  ends, and `lost` is set. Nothing is retried here. Open again: if the keeper lives, its
  jobs never noticed; if it was killed, the new keeper ends its jobs and lists them as
  `lost`.

The keeper is not this process's child to care for: it has a session of its own and does
not die with us (see `keeper/processes/starter.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar, cast

from jobs_grpc.worker.keeper.memory.root import socket_path
from jobs_grpc.worker.keeper.processes.starter import KeeperDiedError, Starter
from jobs_grpc.worker.keeper.protocol import (
    VERSION,
    Answer,
    AttemptStatus,
    CancelRequest,
    Done,
    Exited,
    ForgetRequest,
    FrameDecoder,
    Growth,
    HelloRequest,
    Listing,
    ListRequest,
    ProtocolError,
    Refused,
    Request,
    ShutdownRequest,
    Started,
    StartFailed,
    StartRequest,
    Welcome,
    decode,
    encode,
)

# A keeper needs 60 ms to start, and up to five seconds more to end a dead one's jobs.
OPEN_SECONDS: Final = 15.0
_RETRY_SECONDS: Final = 0.01
_SLOWEST_RETRY_SECONDS: Final = 0.25

Expected = TypeVar("Expected", bound=Answer)


class KeeperError(Exception):
    """The keeper cannot be reached, or did not do what was asked."""


class KeeperLostError(KeeperError):
    """The connection broke; whether a request was carried out is not known."""


class KeeperRefusedError(KeeperError):
    """The keeper refused a request; the text says why."""


class KeeperVersionError(KeeperError):
    """The keeper that runs here speaks another version of the protocol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputGrown:
    """The spool of an attempt has `size` payload bytes now."""

    fence: int
    size: int


class KeeperLink:
    """One connection to the keeper of a directory."""

    def __init__(self, connection: _Connection, welcome: Welcome) -> None:
        self._connection = connection
        self.welcome = welcome

    @classmethod
    async def open(
        cls,
        root: Path,
        *,
        python: str = sys.executable,
        idle_exit_seconds: float = 600.0,
        timeout_seconds: float = OPEN_SECONDS,
    ) -> KeeperLink:
        """Connect to the keeper of `root`, starting one if there is none.

        Raises:
            KeeperError: none could be reached or started within the timeout.
            KeeperVersionError: the one that runs speaks another version.
        """
        starter = Starter(root, python, idle_exit_seconds)
        try:
            async with asyncio.timeout(timeout_seconds):
                return await cls._open(root, starter)
        except TimeoutError:
            raise KeeperError(
                f"no keeper answers in {root} after {timeout_seconds:g} s"
                f"{starter.last_words()}"
            ) from None

    @classmethod
    async def _open(cls, root: Path, starter: Starter) -> KeeperLink:
        delay = _RETRY_SECONDS
        while True:
            try:
                connection = await _connect(root)
            except (FileNotFoundError, ConnectionError):
                try:
                    starter.start()
                except KeeperDiedError as error:
                    raise KeeperError(str(error)) from None
            else:
                # A keeper that is just leaving accepts, and then is gone.
                with contextlib.suppress(KeeperLostError):
                    welcome = await _greet(connection)
                    starter.settle_for(welcome.pid)
                    return cls(connection, welcome)
            await asyncio.sleep(delay)
            delay = min(delay * 1.5, _SLOWEST_RETRY_SECONDS)

    @property
    def lost(self) -> asyncio.Event:
        """Is set when the connection has ended, whoever ended it."""
        return self._connection.lost

    async def start(self, request: StartRequest) -> Started | StartFailed:
        """Start an attempt; the same fence is never started twice."""
        answer = await self._connection.ask(request)
        if not isinstance(answer, Started | StartFailed):
            raise _unexpected(answer)
        return answer

    async def cancel(
        self, fence: int, reason: str, *, grace_seconds: float | None = None
    ) -> AttemptStatus:
        """Begin to end an attempt's whole tree; return where it stands.

        The end itself comes as an `Exited` event. Asking again changes nothing, except
        that a shorter grace shortens the wait.

        Raises:
            KeeperRefusedError: the attempt is not known.
        """
        request = CancelRequest(fence=fence, reason=reason, grace_seconds=grace_seconds)
        return await self._ask(request, AttemptStatus)

    async def list(self) -> list[AttemptStatus]:
        """Return every attempt that was not forgotten, running or ended."""
        return await self._connection.list()

    async def forget(self, fence: int) -> None:
        """Remove an ended attempt with its directory; do it once its end is yours.

        Raises:
            KeeperRefusedError: the attempt has not ended.
        """
        await self._ask(ForgetRequest(fence=fence), Done)

    async def shutdown(self, *, kill: bool = False) -> None:
        """Make the keeper leave; with `kill`, after it has ended every attempt.

        Raises:
            KeeperRefusedError: attempts run, and `kill` was not given.
        """
        await self._ask(ShutdownRequest(kill=kill), Done)

    async def events(self) -> AsyncIterator[OutputGrown | Exited]:
        """Yield what happens, until the connection ends."""
        connection = self._connection
        while True:
            while (event := connection.next_event()) is not None:
                yield event
            if connection.lost.is_set():
                return
            await connection.news.wait()

    async def close(self) -> None:
        """End the connection; the keeper and its jobs go on."""
        self._connection.close()
        await self._connection.lost.wait()

    async def _ask(self, request: Request, expected: type[Expected]) -> Expected:
        answer = await self._connection.ask(request)
        if not isinstance(answer, expected):
            raise _unexpected(answer)
        return answer


class _Connection(asyncio.Protocol):
    """Frames in and out; a plain protocol costs half of what asyncio's streams do."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self.news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._decoder = FrameDecoder()
        self._answers: dict[int, asyncio.Future[Answer]] = {}
        self._listings: dict[int, list[AttemptStatus]] = {}
        self._last_id = 0
        self._unsent: list[bytes] = []
        self._sizes: dict[int, int] = {}
        self._exits: deque[Exited] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            for payload in self._decoder.feed(data):
                self._take(payload)
        except ProtocolError as error:
            self._fail(f"the keeper does not speak our protocol: {error}")
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(f"the keeper is gone{f': {error}' if error else ''}")
        self.lost.set()
        self.news.set()

    async def ask(self, request: Request) -> Answer:
        """Send a request at the end of this turn of the loop; wait for its answer."""
        if self._transport is None or self._transport.is_closing():
            raise KeeperLostError("the keeper is gone")
        self._last_id += 1
        request_id = self._last_id
        frame = encode(request, request_id)
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(frame)
        answer: asyncio.Future[Answer] = self._loop.create_future()
        self._answers[request_id] = answer
        try:
            return await answer
        finally:
            self._answers.pop(request_id, None)

    async def list(self) -> list[AttemptStatus]:
        request_id = self._last_id + 1
        self._listings[request_id] = []
        try:
            answer = await self.ask(ListRequest())
            if not isinstance(answer, Listing):
                raise _unexpected(answer)
            return self._listings[request_id]
        finally:
            del self._listings[request_id]

    def next_event(self) -> OutputGrown | Exited | None:
        """Return the next event: growth before ends, for an end closes the output."""
        if self._sizes:
            fence = next(iter(self._sizes))
            return OutputGrown(fence=fence, size=self._sizes.pop(fence))
        if self._exits:
            return self._exits.popleft()
        self.news.clear()
        return None

    def close(self) -> None:
        if self._transport is not None:
            self._flush()
            self._transport.close()

    def _flush(self) -> None:
        frames, self._unsent = self._unsent, []
        if frames and self._transport is not None:
            self._transport.write(b"".join(frames))

    def _take(self, payload: bytes) -> None:
        message, request_id = decode(payload)
        match message:
            case Growth(fences=fences, sizes=sizes):
                self._sizes.update(zip(fences, sizes, strict=True))
                self.news.set()
            case Exited():
                self._exits.append(message)
                self.news.set()
            case Listing(attempts=attempts, is_last=False) if request_id is not None:
                if (listing := self._listings.get(request_id)) is not None:
                    listing.extend(attempts)
            case _:
                self._settle(request_id, cast("Answer", message))

    def _settle(self, request_id: int | None, answer: Answer) -> None:
        if request_id is None:
            raise ProtocolError("an answer has no id")
        listing = self._listings.get(request_id)
        if isinstance(answer, Listing) and listing is not None:
            listing.extend(answer.attempts)
        waiting = self._answers.get(request_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def _fail(self, sentence: str) -> None:
        for waiting in self._answers.values():
            if not waiting.done():
                waiting.set_exception(KeeperLostError(sentence))


async def _connect(root: Path) -> _Connection:
    with socket_path(root) as path:
        _, connection = await asyncio.get_running_loop().create_unix_connection(
            _Connection, path
        )
    return connection


async def _greet(connection: _Connection) -> Welcome:
    answer = await connection.ask(HelloRequest())
    if not isinstance(answer, Welcome):
        raise _unexpected(answer)
    if answer.version != VERSION:
        connection.close()
        raise KeeperVersionError(
            f"the keeper (pid {answer.pid}) speaks version {answer.version} of the"
            f" protocol, this program {VERSION}; let its jobs end, then stop it"
        )
    return answer


def _unexpected(answer: Answer) -> KeeperError:
    if isinstance(answer, Refused):
        return KeeperRefusedError(answer.error)
    return KeeperError(f"the keeper gave an answer to another question: {answer}")
