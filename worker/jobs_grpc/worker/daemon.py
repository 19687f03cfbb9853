"""The daemon: puts the parts of a worker together, starts them, and ends them.

How it stops
------------
*What is lost by stopping must be nothing.* Process attempts run under the keeper, so a
stopping daemon lets them run and the next one adopts them; results are on disk; leases
that have not begun are given back. Only functions end with the daemon, because they run
inside it. All of it takes less than a second, since a service manager, a Ctrl-C and an
upgrade all want to go on. ::

    no new work ─► functions end ─► results on disk ─► told ─► the stream is parted
                   (--ephemeral: processes and keeper end too)

===========================  ========================================================
nothing is held afterwards   the session ends with a goodbye
process attempts run on      no goodbye: the session lives for its time, and the next
                             daemon of this directory resumes it
the leader does not answer   what it does not know yet is told by the next daemon
a second signal              the program ends at once; the keeper was told its orders
                             with the first
===========================  ========================================================
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib.metadata
import logging
import os
from collections.abc import Iterator
from typing import Final

from jobs_grpc.runtime.backoff import Backoff
from jobs_grpc.runtime.clock import Clock, SystemClock
from jobs_grpc.runtime.tasks import Supervisor
from jobs_grpc.worker.attempts.attempt import Attempt
from jobs_grpc.worker.config import WorkerSettings
from jobs_grpc.worker.connection.convert import Introduction
from jobs_grpc.worker.connection.link import LeaderLink
from jobs_grpc.worker.connection.stream import Parts
from jobs_grpc.worker.disk import DiskGuard
from jobs_grpc.worker.functions.capture import captured_prints
from jobs_grpc.worker.functions.catalogue import Catalogue
from jobs_grpc.worker.functions.runner import FunctionRunner
from jobs_grpc.worker.identity import Identity
from jobs_grpc.worker.journal.journal import Journal
from jobs_grpc.worker.keeper.processes.tree import boot_id
from jobs_grpc.worker.processes.environment import ordinary
from jobs_grpc.worker.processes.places import Places
from jobs_grpc.worker.processes.runner import ProcessRunner
from jobs_grpc.worker.restore import Restored, remove_strays, restore
from jobs_grpc.worker.session import Session
from jobs_grpc.worker.shipping import Shipping
from jobs_grpc.worker.trust import Trust

log = logging.getLogger(__name__)

# A stop takes less than a second; these are the shares of it.
FUNCTION_SECONDS: Final = 0.2
KILL_SECONDS: Final = 0.6
TELL_SECONDS: Final = 0.2
PART_SECONDS: Final = 0.2
STOP_SECONDS: Final = 0.9


class Daemon:
    """One worker. Make it inside a running loop, `run` it once."""

    def __init__(
        self,
        settings: WorkerSettings,
        catalogue: Catalogue,
        *,
        clock: Clock | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        """`backoff` is that of the connection to the leader."""
        self._settings = settings
        self._backoff = backoff
        self._clock = clock or SystemClock()
        self._stop_wanted = asyncio.Event()
        data = settings.data.absolute()
        self._function_directory = data / "functions"
        self._places = Places(data)
        self.identity = Identity(data)
        self._boot_id = boot_id()
        self.shipping = Shipping(self._clock)
        self.functions = FunctionRunner(
            catalogue=catalogue,
            directory=self._function_directory,
            slots=settings.slots,
            clock=self._clock,
            outputs=self.shipping,
        )
        self.processes = ProcessRunner(
            places=self._places,
            base_environment=ordinary(os.environ),
            clock=self._clock,
            outputs=self.shipping,
        )
        self.journal = Journal(
            data / "journal",
            boot_id=self._boot_id,
            live=self._story,
            on_durable=self._durable,
        )
        self._trust = Trust(self._clock)
        self.session = Session(
            slots=settings.slots,
            clock=self._clock,
            trust=self._trust,
            journal=self.journal,
            outputs=self.shipping,
            functions=self.functions,
            processes=self.processes,
        )
        self._disk = DiskGuard(
            data, settings.min_free_disk, on_change=self.session.take_work
        )
        self.functions.listener = self.session
        self.processes.listener = self.session
        self.shipping.on_settled = self.session.output_settled

    def stop(self) -> None:
        """Make `run` end, in order."""
        self._stop_wanted.set()

    async def run(self) -> None:
        """Serve until `stop`.

        Raises:
            DirectoryTakenError: another worker runs on the data directory.
            KeeperError: the keeper cannot be reached or started.
            DirectoryUnusableError: it cannot be read or written.
        """
        self.identity.take()
        try:
            with captured_prints():
                await self._serve()
        finally:
            self.journal.close()
            self.shipping.close()
            await self.processes.close()
            self.identity.release()

    async def _serve(self) -> None:
        recollection = self.journal.recollect()
        restored = restore(
            await self.processes.open(),
            recollection,
            boot_id=self._boot_id,
            now=self._clock.now(),
            function_spool=self.functions.spool,
        )
        self._take_over(restored)
        link = LeaderLink(self._settings.addr, self._parts(), backoff=self._backoff)
        async with Supervisor() as tasks:
            tasks.start(self.journal.run(), name="journal")
            tasks.start(self.processes.run(), name="processes")
            await self.processes.ready.wait()
            self.session.tidy()
            self._disk.run_once()
            tasks.start(self._disk.run(), name="disk")
            tasks.start(link.run(), name="leader")
            log.info(
                "worker %s with %d slots, looking for the control plane at %s",
                self._settings.name,
                self._settings.slots,
                self._settings.addr,
            )
            await self._stop_wanted.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await self._wind_down(link)

    # The journal is made before the session, which needs it.

    def _story(self) -> Iterator[tuple[Attempt, int | None]]:
        return self.session.registry.story()

    def _durable(self, attempts: list[Attempt]) -> None:
        self.session.durable(attempts)

    def _parts(self) -> Parts:
        settings = self._settings
        return Parts(
            session=self.session,
            shipping=self.shipping,
            trust=self._trust,
            identity=self.identity,
            introduction=Introduction(
                worker_id=self.identity.worker_id,
                name=settings.name,
                labels=settings.labels,
                slots=settings.slots,
                functions=self.functions.names,
                version=importlib.metadata.version("jobs-grpc"),
            ),
            clock=self._clock,
        )

    def _take_over(self, restored: Restored) -> None:
        """Go on where an earlier process of this worker ended."""
        self.session.restore(restored)
        self.journal.open()
        for attempt, status in restored.running:
            self.processes.adopt(attempt, status)
        for attempt in (*restored.ended, *restored.cut_short):
            self._ship_rest(attempt.fence)
        for attempt, _ in restored.acknowledged:
            self._ship_rest(attempt.fence)
        self._places.outputs.open({attempt.place for attempt in restored})
        for directory in (self._places.attempts, self._function_directory):
            remove_strays(directory, self.session.registry.__contains__)
        if restored.running:
            log.info("%d attempts run on and are taken over", len(restored.running))

    def _ship_rest(self, fence: int) -> None:
        attempt = self.session.registry.find(fence)
        assert attempt is not None
        assert attempt.result is not None
        size = attempt.result.output_bytes
        of = self.functions if attempt.is_function else self._places
        spool = of.spool(fence)
        if size and spool.exists():
            self.shipping.track(attempt, spool)
            self.shipping.end(fence, size)

    async def _wind_down(self, link: LeaderLink) -> None:
        log.info("stopping")
        self.session.close()
        await asyncio.gather(
            self._end_processes(), self.functions.stop(FUNCTION_SECONDS)
        )
        await self.journal.settle()
        if link.is_connected:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TELL_SECONDS):
                    await self.session.told()
        if not self._settings.ephemeral:
            await self.processes.dismiss()
        is_over = not self.session.registry.held
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PART_SECONDS):
                await link.part("the worker stops" if is_over else None)
                if is_over:
                    self.identity.ended()

    async def _end_processes(self) -> None:
        if self._settings.ephemeral:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(KILL_SECONDS):
                    await self.processes.kill_all()


def calm_collector() -> None:
    """Make the cyclic garbage collector look less often, in a process of our own.

    An attempt makes some dozens of objects and no cycles, and reference counts free
    them; the collector would walk through all that is in flight again and again. At ten
    thousand functions a second that is a fifth of the work of this process (measured:
    63 against 48 microseconds for each).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
