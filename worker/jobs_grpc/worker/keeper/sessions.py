"""Session processes as the keeper sees them: connections that ask, and are told.

A session's requests are decoded a few at a time, so that one that sends ten thousand
starts at once does not keep the loop from reading pipes; while it has many waiting, no
more is read from it. A session that does not read what it is sent is cut off: it can come
back and list.
"""

from __future__ import annotations

import logging
import select
import socket
from collections import deque
from collections.abc import Callable
from typing import Final

from jobs_grpc.worker.keeper.loop import Loop
from jobs_grpc.worker.keeper.protocol import (
    Answer,
    FrameDecoder,
    Message,
    ProtocolError,
    Refused,
    decode,
    encode,
)

logger = logging.getLogger(__name__)

# One buffer for all: a new one for each read would be mapped and unmapped each time.
_BUFFER: Final = bytearray(1 << 17)
_VIEW: Final = memoryview(_BUFFER)
# A start takes about half a millisecond, and a pipe should not wait much longer than ten.
REQUESTS_PER_TURN: Final = 16
_MOST_WAITING: Final = 256
# A listing of 20,000 ended attempts fits; a session that is this far behind is stuck.
_MOST_UNSENT_BYTES: Final = 32 << 20


class Session:
    """One connection."""

    def __init__(
        self,
        connection: socket.socket,
        *,
        loop: Loop,
        serve: Callable[[Session, int, Message], None],
        gone: Callable[[Session], None],
    ) -> None:
        self._connection = connection
        self._loop = loop
        self._serve = serve
        self._gone = gone
        self._decoder = FrameDecoder()
        self._waiting: deque[bytes] = deque()
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0
        self._is_blocked = False
        self.is_open = True
        connection.setblocking(False)
        loop.watch(connection.fileno(), self._ready)

    @property
    def has_requests(self) -> bool:
        """Whether requests wait to be served."""
        return bool(self._waiting)

    def answer(self, request_id: int, answer: Answer) -> None:
        """Send the answer to a request, at the end of the turn."""
        self.send(encode(answer, request_id))

    def send(self, frame: bytes) -> None:
        """Send a frame, at the end of the turn."""
        if not self.is_open:
            return
        self._unsent.append(frame)
        self._unsent_bytes += len(frame)
        if self._unsent_bytes > _MOST_UNSENT_BYTES:
            logger.error("a session that does not read was cut off")
            self.close()

    def work(self) -> None:
        """Serve some of the waiting requests."""
        for _ in range(REQUESTS_PER_TURN):
            if not self._waiting or not self.is_open:
                return
            self._work_one(self._waiting.popleft())

    def _work_one(self, payload: bytes) -> None:
        try:
            message, request_id = decode(payload)
            if request_id is None:
                raise ProtocolError("a request has no id")
        except ProtocolError as error:
            self._cut_off(error)
            return
        try:
            self._serve(self, request_id, message)
        except ProtocolError as error:
            self._cut_off(error)
        except Exception as error:
            # One request's failure must not end everybody's jobs.
            logger.exception("a request failed")
            self.answer(request_id, Refused(error=f"the keeper failed: {error!r}"))

    def _cut_off(self, error: ProtocolError) -> None:
        logger.error("a session was cut off: %s", error)
        self.close()

    def flush(self) -> None:
        """Send what has gathered."""
        if not self._unsent or self._is_blocked or not self.is_open:
            return
        data = b"".join(self._unsent) if len(self._unsent) > 1 else self._unsent[0]
        try:
            sent = self._connection.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        self._unsent_bytes = len(data) - sent
        self._unsent = [data[sent:]] if self._unsent_bytes else []
        if self._unsent_bytes:
            self._is_blocked = True
            self._loop.watch(
                self._connection.fileno(),
                self._ready,
                select.EPOLLIN | select.EPOLLOUT,
            )

    def close(self) -> None:
        """End the connection; what it asked for goes on."""
        if self.is_open:
            self.is_open = False
            self._loop.unwatch(self._connection.fileno())
            self._connection.close()
            self._waiting.clear()
            self._unsent.clear()
            self._gone(self)

    def _ready(self, descriptor: int) -> None:
        if self._is_blocked:
            self._is_blocked = False
            self._loop.watch(descriptor, self._ready)
            self.flush()
        if self.is_open and len(self._waiting) < _MOST_WAITING:
            self._receive()

    def _receive(self) -> None:
        try:
            count = self._connection.recv_into(_BUFFER)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if count == 0:
            self.close()
            return
        try:
            self._waiting.extend(self._decoder.feed(_VIEW[:count]))
        except ProtocolError as error:
            self._cut_off(error)
