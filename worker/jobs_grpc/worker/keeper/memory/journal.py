"""The keeper's journal: what the next keeper must know if this one dies.

One line per fact, ``<CRC-32 of the JSON> <JSON>``, appended to one file:

- ``keeper``: a keeper began, on this boot;
- ``starting``: written before a process may exist;
- ``started``: its pid and start time;
- ``ended``: the exit record; `then` of `conclude` is called once it is on disk;
- ``forgotten``: the session has taken it over.

Why one file rather than a directory per attempt: a group of records shares one fsync, and
nothing else is written for an attempt that prints nothing. The fsync runs in a helper
thread while the loop goes on, one at a time; what ends meanwhile shares the next.

The file is preallocated, so that exit records have room on a full disk; the unused rest
is zeros. A torn last line is ignored (its fact was never announced); a damaged line costs
that line only. After a failed fsync the kernel may have dropped the data while marking it
clean, so the file is never trusted again: the live lines are written into a new one.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

# Room for about 6,000 attempts; rewriting what lives of it takes a few milliseconds.
CAPACITY_BYTES: Final = 4 << 20


# What an attempt may write: that it starts, that it has, and a long exit record.
ROOM_BYTES: Final = 2048


def read_journal(path: Path) -> Iterator[dict[str, object]]:
    """Yield the facts of a journal in order; damaged lines are skipped and logged."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return
    damaged = 0
    lines = data.rstrip(b"\0").split(b"\n")
    lines.pop()  # empty after the last whole line, else a torn one
    for line in lines:
        checksum, _, text = line.partition(b" ")
        if not line:
            continue
        if checksum == b"%08x" % zlib.crc32(text):
            yield json.loads(text)
        else:
            damaged += 1
    if damaged:
        logger.error("%s: %d damaged lines were skipped", path, damaged)


class Journal:
    """Appends facts, and tells when they are durable.

    `live` holds the facts that still matter, as JSON by fence: all that a new file needs.
    """

    def __init__(
        self,
        path: Path,
        *,
        head: bytes,
        live: Mapping[int, list[bytes]],
        capacity_bytes: int = CAPACITY_BYTES,
    ) -> None:
        self._path = path
        self._head = _line(head)
        self._live = {
            fence: [_line(text) for text in facts] for fence, facts in live.items()
        }
        self._least_capacity = capacity_bytes
        self._capacity = self._allocated = 0
        self._descriptor = -1
        self._position = 0
        self._buffer: list[bytes] = []
        self._waiting: list[Callable[[], None]] = []
        self._in_flight: list[Callable[[], None]] = []
        self._error: OSError | None = None
        self.is_stuck = False
        self.notice = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._orders: queue.SimpleQueue[int] = queue.SimpleQueue()
        try:
            self._rewrite()
        except OSError as error:
            if not path.exists():
                raise  # nothing to go on with
            logger.error("%s: no room for a new file: %s", path, error.strerror)
            self._reopen()
        threading.Thread(target=self._sync_forever, daemon=True).start()

    @property
    def is_tight(self) -> bool:
        """Whether no room is left for another attempt beside the ends of those that run.

        Only on a full disk: else the file is replaced long before.
        """
        promised = (len(self._live) + 1) * ROOM_BYTES
        return self._position + promised > self._allocated

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for durability."""
        return not (self._waiting or self._in_flight)

    def note(self, fence: int, text: bytes) -> None:
        """Add a fact (as JSON) about an unfinished attempt."""
        line = _line(text)
        self._live.setdefault(fence, []).append(line)
        self._buffer.append(line)

    def conclude(self, fence: int, text: bytes, then: Callable[[], None]) -> None:
        """Add the last fact of an attempt (as JSON); call `then` once it is durable."""
        line = _line(text)
        self._live[fence] = [line]
        self._buffer.append(line)
        self._waiting.append(then)

    def forget(self, fence: int) -> None:
        """Note that an attempt needs not be known any more."""
        if self._live.pop(fence, None) is not None:
            self._buffer.append(_line(b'{"fact":"forgotten","fence":%d}' % fence))

    def flush(self) -> None:
        """Hand what was added to the kernel: it then survives the death of the keeper.

        Raises:
            OSError: the disk is full beyond the preallocated room; nothing is lost.
        """
        if not self._buffer:
            return
        data = b"".join(self._buffer)
        written = 0
        while written < len(data):
            written += os.pwrite(
                self._descriptor, data[written:], self._position + written
            )
        self._position += len(data)
        self._buffer.clear()

    def pump(self) -> None:
        """Begin the next fsync if somebody waits and none is under way."""
        if self._in_flight:
            return
        self.is_stuck = not self._prepare()
        if self._waiting and not self.is_stuck:
            self._in_flight, self._waiting = self._waiting, []
            self._orders.put(self._descriptor)

    def synced(self, _descriptor: int) -> None:
        """Take the news of the helper thread."""
        os.eventfd_read(self.notice)
        callbacks, self._in_flight = self._in_flight, []
        if self._error is not None:
            logger.error("%s: fsync failed: %s", self._path, self._error)
            self._waiting = callbacks + self._waiting
            return
        for callback in callbacks:
            callback()

    def _prepare(self) -> bool:
        """Write the buffer; begin a new file when this one is full or not trusted."""
        try:
            if self._error is not None:
                self._rewrite()
            elif self._position > self._capacity * 3 // 4:
                self._try_rewrite()
            self.flush()
        except OSError as error:
            if not self.is_stuck:
                logger.error("%s: %s; trying again", self._path, error.strerror)
            return False
        return True

    def _try_rewrite(self) -> None:
        try:
            self._rewrite()
        except OSError:
            # A full disk: go on behind the end of the preallocated room if need be.
            self._capacity *= 2

    def _rewrite(self) -> None:
        """Replace the file by one with the live lines only, durable before it counts."""
        fresh = self._path.with_suffix(".new")
        lines = [self._head, *(line for group in self._live.values() for line in group)]
        data = b"".join(lines)
        capacity = max(self._least_capacity, 4 * len(data))
        descriptor = os.open(
            fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600
        )
        try:
            os.posix_fallocate(descriptor, 0, capacity)
            written = 0
            while written < len(data):
                written += os.pwrite(descriptor, data[written:], written)
            os.fsync(descriptor)
            fresh.replace(self._path)
        except OSError:
            os.close(descriptor)
            fresh.unlink(missing_ok=True)
            raise
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = descriptor
        self._position = len(data)
        self._capacity = self._allocated = capacity
        self._buffer.clear()
        self._error = None
        try:
            _sync_directory(self._path.parent)
        except OSError as error:
            self._error = error  # its name may not last: once more
            raise

    def _reopen(self) -> None:
        """Go on in the room that the file of the last keeper has left."""
        data = self._path.read_bytes()
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        self._position = len(data.rstrip(b"\0"))
        self._capacity = self._allocated = len(data)
        # The line break ends a torn line; after a whole one it is an empty line.
        self._buffer = [b"\n", self._head]

    def _sync_forever(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while True:
            descriptor = self._orders.get()
            try:
                os.fdatasync(descriptor)
            except OSError as error:
                self._error = error
            os.eventfd_write(self.notice, 1)


def keeper_fact(*, boot_id: str, pid: int) -> bytes:
    """Return the JSON of a ``keeper`` fact."""
    return b'{"fact":"keeper","boot_id":%b,"pid":%d}' % (_quoted(boot_id), pid)


def starting_fact(fence: int, marker: str) -> bytes:
    """Return the JSON of a ``starting`` fact."""
    return b'{"fact":"starting","fence":%d,"marker":%b}' % (fence, _quoted(marker))


def started_fact(
    fence: int, *, pid: int, start_ticks: int, started_at_us: int
) -> bytes:
    """Return the JSON of a ``started`` fact."""
    return (
        b'{"fact":"started","fence":%d,"pid":%d,"start_ticks":%d,"started_at_us":%d}'
        % (fence, pid, start_ticks, started_at_us)
    )


def _quoted(text: str) -> bytes:
    return json.dumps(text).encode("ascii")


def ended_fact(record_json: bytes, *, pid: int, start_ticks: int) -> bytes:
    """Return the JSON of an ``ended`` fact around a record that is JSON already."""
    return b'{"fact":"ended","pid":%d,"start_ticks":%d,"record":%b}' % (
        pid, start_ticks, record_json,
    )  # fmt: skip


def _line(text: bytes) -> bytes:
    return b"%08x %b\n" % (zlib.crc32(text), text)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
