"""The control plane, put together; nothing above this file, and nothing decided here.

Start: store, term, output, services, folder. Stop, in reverse: workers are sent away with
a delay, calls in progress get a moment, the term ends, output is flushed, the store is
closed. A second signal ends the process at once; what is not committed was not promised.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from jobs_grpc.runtime.clock import SystemClock
from jobs_grpc.runtime.tasks import Supervisor
from jobs_grpc.schedule import parse_duration

from .config import Settings
from .core.core import Core
from .core.state.effects import Fact
from .leader.folder import JobsFolder
from .leader.leader import Leader
from .output import Output
from .rpc.following import Following
from .rpc.server import Parts, Server
from .storage.sqlite import SqliteStore
from .telemetry import EventLog, Metrics

log = logging.getLogger(__name__)

# Calls in progress get this long; streams end by a message well before.
STOP_GRACE: Final = 0.4
# The errors of a disk that has no room, or no room for this user.
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class ControlPlane:
    """One server process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        data = Path(settings.data).resolve()
        self._store = SqliteStore(data)
        self._following = Following(self._store)
        self._output = Output(data / "output", self._following.state_of)
        self._following.attach(self._output)
        self._leader = Leader(
            store=self._store,
            clock=SystemClock(),
            holder=f"{socket.gethostname()}:{os.getpid()}",
            address=settings.addr,
            inbox_limit=int(settings.inbox),
            session_ttl=settings.session_ttl_us,
            keep_decisions=parse_duration(settings.keep_decisions),
        )
        self._server = Server(
            Parts(
                leader=self._leader,
                store=self._store,
                output=self._output,
                following=self._following,
                clock=SystemClock(),
            )
        )
        self._events = EventLog(
            json_lines=settings.log_format == "json",
            level=logging.getLevelNamesMapping()[settings.log_level.upper()],
        )
        self._metrics = Metrics.from_environment(self._core)
        self._health_changes: asyncio.Queue[bool] = asyncio.Queue()
        self._output_failed = False

    @classmethod
    async def serve(cls, settings: Settings) -> None:
        """Serve until a signal says stop. Needs a running loop from its first line."""
        await cls(settings).run()

    async def run(self) -> None:
        """See `serve`."""
        stop = _stop_signals()
        await self._store.open()
        try:
            await self._serve(stop)
        finally:
            await self._output.close()
            await self._store.close()
            if self._metrics is not None:
                await asyncio.to_thread(self._metrics.close)

    async def _serve(self, stop: asyncio.Event) -> None:
        settings = self._settings
        self._leader.subscribe(self._notice)
        self._leader.on_change = self._health_changes.put_nowait
        self._output.ingest.on_health = self._output_health
        port = await self._server.start(settings.addr)
        async with Supervisor() as supervisor:
            supervisor.start(self._output.run(), name="output")
            supervisor.start(self._leader.run(), name="leader")
            supervisor.start(self._tell_health(), name="health")
            if settings.jobs:
                folder = JobsFolder(self._leader, Path(settings.jobs).resolve())
                supervisor.start(folder.run(), name="jobs folder")
            host = settings.addr.rpartition(":")[0]
            log.info("listening on %s:%d, %s", host, port, self._store.describe())
            await stop.wait()
            log.info("stopping")
            self._leader.outboxes.send_all_away("the control plane stops", 0.5)
            await self._server.stop(STOP_GRACE)

    async def _tell_health(self) -> None:
        while True:
            leading = await self._health_changes.get()
            await self._server.say_serving(serving=leading and not self._output_failed)

    def _output_health(self, failure: OSError | None) -> None:
        """A disk that is full for output stops the term; another failure only shows."""
        self._output_failed = failure is not None
        if failure is None:
            log.info("output can be stored again")
            self._leader.resume()
        else:
            log.error("output cannot be stored: %s", failure)
            if failure.errno in _FULL:
                self._leader.hold(f"the disk of the output is full: {failure.strerror}")
        self._health_changes.put_nowait(self._leader.term != 0)

    def _notice(self, facts: Sequence[Fact]) -> None:
        self._following.notice(facts)
        if self._metrics is not None:
            self._metrics.note(facts)
        self._events.write(facts)

    def _core(self) -> Core | None:
        with contextlib.suppress(Exception):
            return self._leader.core
        return None


def _stop_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(130)
        stop.set()

    for one in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(one, on_signal)
    return stop
