"""The journal's file: appended in order, made durable in groups, rewritten when long.

One loop makes results durable: it takes whatever has ended since the last pass, writes
it, and lets one `fdatasync` in a helper thread speak for all of it. While that runs the
next group gathers, so the number of syncs follows the disk and not the number of
attempts. Only after it are the attempts handed to `on_durable`, and only then may a
report of them leave.

The file is allocated ahead, and every attempt that begins has room for its result set aside:
a disk that fills up meanwhile loses none. The unused rest is zeros.

The file is a segment: when it has grown long, or when a write to it failed, a new one is
begun with all that still matters, and the old one is removed once the new one is safe.
A handle whose sync failed is never trusted again: the kernel may have dropped the pages
and will report success the next time.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from jobs_grpc.worker.attempts.attempt import Attempt
from jobs_grpc.worker.journal import entries
from jobs_grpc.worker.journal.frames import end_of_frames, unframe
from jobs_grpc.worker.journal.notes import Notes

log = logging.getLogger(__name__)

# Rewriting takes milliseconds and the live part is some hundred KiB: at ten thousand
# attempts a second this is a rewrite every few seconds.
SEGMENT_BYTES: Final = 16 * 1024 * 1024
# The file is allocated so far ahead of what is in it and promised.
AHEAD_BYTES: Final = 1024 * 1024
# What the result of an attempt takes at most: of a function its value and an error, of a
# process the receipt of a long fight.
FUNCTION_ROOM: Final = 80 * 1024
PROCESS_ROOM: Final = 4 * 1024
# A full or failing disk is tried again at this pace.
RETRY_SECONDS: Final = 1.0
# Notes gather for so long; and with them waits what may go only after them.
NOTE_SECONDS: Final = 0.1
_SUFFIX: Final = ".journal"
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class Journal:
    """The results journal of one data directory. Used from the loop's thread only."""

    def __init__(
        self,
        directory: Path,
        *,
        boot_id: str,
        live: Callable[[], Iterable[tuple[Attempt, int | None]]],
        on_durable: Callable[[list[Attempt]], None],
        segment_bytes: int = SEGMENT_BYTES,
        ahead_bytes: int = AHEAD_BYTES,
    ) -> None:
        """`live` names every attempt that matters, with the instant of its ack if any."""
        self._directory = directory
        self._boot_id = boot_id
        self._live = live
        self._on_durable = on_durable
        self._segment_bytes = segment_bytes
        self._descriptor = -1
        self._path = directory / f"00000000{_SUFFIX}"
        self._size = 0
        # The file has so much room, and so much of it is promised to attempts.
        self._allocated = 0
        self._reserved: dict[int, int] = {}
        self._ahead = ahead_bytes
        # How long the segment may be, while a full disk does not let it be replaced.
        self._rotate_at = segment_bytes
        self._notes = Notes()
        self._note_timer: asyncio.TimerHandle | None = None
        self._ended: list[Attempt] = []
        self._stirred = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()

    def recollect(self) -> entries.Recollection:
        """Return what earlier processes wrote. Call before anything is written."""
        recollection = entries.Recollection()
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in sorted(self._directory.glob(f"*{_SUFFIX}")):
            for payload in unframe(path.read_bytes()):
                recollection.apply(payload)
            self._path = path
        return recollection

    def open(self) -> None:
        """Begin a segment with what is live now; older ones are removed.

        On a full disk the last process's segment goes on, in the room that it has left.
        """
        try:
            self._rotate()
        except OSError as error:
            if error.errno not in _FULL or not self._path.exists():
                raise
            log.error("cannot begin a new results journal: %s", error)
            self._reopen()
        self._sync_rotation()

    def reserve(self, attempt: Attempt) -> bool:
        """Set room aside for the result of an attempt; False where the disk has none."""
        room = FUNCTION_ROOM if attempt.is_function else PROCESS_ROOM
        if not self._allocate(sum(self._reserved.values()) + room):
            return False
        self._reserved[attempt.fence] = room
        return True

    def unreserve(self, attempt: Attempt) -> None:
        """It will have no result, or it has been written."""
        self._reserved.pop(attempt.fence, None)

    def begin(self, attempts: Iterable[Attempt]) -> None:
        """Note that these attempts begin; call it before they do.

        Best effort: where the note is lost, the leader's own record of the start (at
        most once) or its absence (at least once) leads to the right end.
        """
        try:
            self._append(entries.begun(attempts))
        except OSError as error:
            log.warning("cannot note the start of attempts: %s", error)

    def end(self, attempt: Attempt) -> None:
        """Make the result of an attempt durable, then hand it to `on_durable`."""
        assert attempt.result is not None
        self._ended.append(attempt)
        self._settled.clear()
        self._stirred.set()

    def keep(self, attempt: Attempt) -> None:
        """Note a result whose durable record is about to go (the keeper's)."""
        self._notes.kept.append(attempt)
        self._write_notes_soon()

    def acknowledge(self, at: int, fences: Iterable[int]) -> None:
        """Note that the leader has these results."""
        self._notes.acknowledged.append((at, tuple(fences)))
        self._write_notes_soon()

    def forget(self, fences: Iterable[int]) -> None:
        """Note that these attempts are forgotten."""
        self._notes.forgotten += fences
        self._write_notes_soon()

    def after_notes(self, callback: Callable[[], None]) -> None:
        """Call back when everything noted so far is in the file."""
        if self._notes:
            self._notes.callbacks.append(callback)
        else:
            callback()

    async def settle(self) -> None:
        """Return when every result given so far is durable."""
        await self._settled.wait()

    async def run(self) -> None:
        """Make results durable until cancelled."""
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            while self._ended:
                group, self._ended = self._ended, []
                await self._commit(group)
            self._settled.set()

    async def _commit(self, group: list[Attempt]) -> None:
        loop = asyncio.get_running_loop()
        try:
            self._append_with_notes(entries.ended(group))
            await loop.run_in_executor(None, os.fdatasync, self._descriptor)
        except OSError as error:
            await self._recover(error)
        for attempt in group:
            self.unreserve(attempt)
        self._on_durable(group)
        if self._size > self._rotate_at:
            try:
                self._rotate()
            except OSError as error:
                # What is there is safe: go on in it, and try again later.
                log.warning("cannot begin a new results journal: %s", error)
                self._rotate_at = self._size + self._ahead
                return
            try:
                await loop.run_in_executor(None, self._sync_rotation)
            except OSError as error:
                await self._recover(error)

    async def _recover(self, error: OSError) -> None:
        """Write all that is live to a new segment, however long that takes."""
        loop = asyncio.get_running_loop()
        while True:
            log.error(
                "cannot write the results journal in %s: %s; results wait",
                self._directory,
                error,
            )
            await asyncio.sleep(RETRY_SECONDS)
            try:
                self._rotate()
                await loop.run_in_executor(None, self._sync_rotation)
            except OSError as again:
                error = again
            else:
                return

    def _write_notes_soon(self) -> None:
        """Many notes in one entry cost little, and a lost one costs a courtesy."""
        if self._note_timer is None:
            loop = asyncio.get_running_loop()
            self._note_timer = loop.call_later(NOTE_SECONDS, self._write_notes)

    def _write_notes(self) -> None:
        self._note_timer = None
        try:
            self._append_with_notes(b"")
        except OSError as error:
            log.warning("cannot write notes to the results journal: %s", error)
            self._write_notes_soon()

    def _append_with_notes(self, data: bytes) -> None:
        kept = tuple(self._notes.kept)
        self._append(data + self._notes.encode())
        for attempt in kept:
            self.unreserve(attempt)
        self._notes.written()

    def _append(self, data: bytes) -> None:
        """Write behind what is there; half of it, if it fails, is written over then."""
        self._allocate(len(data))
        if os.pwrite(self._descriptor, data, self._size) != len(data):
            raise OSError(errno.ENOSPC, "the disk took only a part of it")
        self._size += len(data)

    def _allocate(self, count: int) -> bool:
        """Make sure that `count` bytes more will find room; False where there is none."""
        wanted = self._size + count
        if wanted <= self._allocated:
            return True
        target = wanted + self._ahead
        try:
            os.posix_fallocate(
                self._descriptor, self._allocated, target - self._allocated
            )
        except OSError:
            return False
        self._allocated = target
        return True

    def _rotate(self) -> None:
        """Begin a new segment; appends go to it from now on.

        Raises:
            OSError: the one that there is goes on.
        """
        number = int(self._path.name.removesuffix(_SUFFIX)) + 1
        path = self._directory / f"{number:08}{_SUFFIX}"
        story = b"".join(self._story())
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        room = len(story) + sum(self._reserved.values()) + self._ahead
        try:
            os.posix_fallocate(descriptor, 0, room)
            if os.pwrite(descriptor, story, 0) != len(story):
                raise OSError(errno.ENOSPC, "the disk took only a part of it")
        except OSError:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self._path = descriptor, path
        self._size, self._allocated = len(story), room
        self._rotate_at = self._segment_bytes
        self._notes.written()  # the story told them

    def _reopen(self) -> None:
        """Go on in the last process's segment."""
        data = self._path.read_bytes()
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
        self._size, self._allocated = end_of_frames(data), len(data)
        self._append(entries.header(self._boot_id))

    def _story(self) -> Iterable[bytes]:
        """Yield the entries of everything that is live."""
        live = list(self._live())
        yield entries.header(self._boot_id)
        if live:
            yield entries.begun(attempt for attempt, _ in live)
        yield entries.ended(
            attempt for attempt, _ in live if attempt.result is not None
        )
        for attempt, acknowledged_at in live:
            if acknowledged_at is not None:
                yield entries.acknowledged(acknowledged_at, (attempt.fence,))

    def _sync_rotation(self) -> None:
        """Make the newest segment safe, then remove the older ones. Any thread."""
        os.fdatasync(self._descriptor)
        handle = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        for path in self._directory.glob(f"*{_SUFFIX}"):
            if path != self._path:
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Write what is noted and let go of the file."""
        if self._descriptor >= 0:
            if self._note_timer is not None:
                self._note_timer.cancel()
            self._notes.callbacks.clear()
            with contextlib.suppress(OSError):
                self._append_with_notes(b"")
            os.close(self._descriptor)
            self._descriptor = -1
