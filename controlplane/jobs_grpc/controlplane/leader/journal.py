"""The journal loop: decide, commit, then tell.

Inputs gather in the inbox. The stepper takes all that have arrived and steps the core;
the committer writes the step's changes in one transaction and, after that, releases what
the step wants said. While one commit is in flight the inbox fills and the next step is
computed, so group commit comes for free; the core may run ahead of the commit, what is
said never does.

    inbox ──► stepper ──► (at most one step waits) ──► committer ──► replies, messages, facts

A failed commit ends the term: everything uncommitted is refused, the core is dropped.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from jobs_grpc.controlplane.core.core import Core
from jobs_grpc.controlplane.core.state.draft import Step
from jobs_grpc.controlplane.core.state.errors import RefusedError
from jobs_grpc.controlplane.core.state.inputs import Input
from jobs_grpc.controlplane.storage.store import Store
from jobs_grpc.runtime.clock import SECOND, Clock
from jobs_grpc.runtime.tasks import Supervisor

# One step takes at most this many inputs, so that a flood cannot make one huge commit.
STEP_LIMIT: Final = 2_000
# Beyond this the server says that it is overloaded instead of remembering more.
INBOX_LIMIT: Final = 50_000
# Seconds after which it is worth to ask an overloaded server again: by then a full inbox
# of the usual size is decided and committed.
RETRY_AFTER: Final = 2.0
# The clock is looked at again at least this often, in case it was set.
LONGEST_SLEEP: Final = 1.0
# So long, in seconds, an input that is in no hurry waits for others.
LEISURE: Final = 0.1

Release = Callable[[Step], None]


class NotLeadingError(Exception):
    """This process holds no term; ask again later or elsewhere.

    Says why, where that is known: somebody may have to make room on a disk.
    """

    def __init__(self, why: str = "") -> None:
        what = "the control plane is not leading now"
        super().__init__(f"{what}: {why}" if why else what)


class OverloadedError(Exception):
    """Too much is waiting to be decided; ask again after `retry_after` seconds."""

    def __init__(self, retry_after: float = RETRY_AFTER) -> None:
        super().__init__("too much is waiting to be decided")
        self.retry_after = retry_after


class Journal:
    """The inbox and the two loops of one term."""

    def __init__(
        self,
        *,
        core: Core,
        store: Store,
        clock: Clock,
        release: Release,
        inbox_limit: int = INBOX_LIMIT,
    ) -> None:
        self._inbox_limit = inbox_limit
        self._core = core
        self._store = store
        self._clock = clock
        self._release = release
        self._inbox: deque[tuple[Input, asyncio.Future[object] | None]] = deque()
        self._arrived = asyncio.Event()
        self._decided: asyncio.Queue[
            tuple[Step, list[asyncio.Future[object] | None]]
        ] = asyncio.Queue(maxsize=1)
        self._wake_at: int | None = 0
        self._stepped_at = 0
        self._closed = False
        # Wakes the stepper for what is in no hurry.
        self._nudge: asyncio.TimerHandle | None = None

    async def submit(self, one: Input) -> object:
        """Return the core's answer once it is durable, or raise its refusal."""
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._put(one, future)
        return await future

    def tell(self, one: Input) -> None:
        """Hand in an input whose answer nobody waits for."""
        self._put(one, None)

    def tell_sometime(self, one: Input) -> None:
        """Hand in an input that is in no hurry: it shares a step with others."""
        self._put(one, None, is_urgent=False)

    async def run(self) -> None:
        """Step and commit until a commit fails or the task is cancelled."""
        try:
            async with Supervisor() as supervisor:
                supervisor.start(self._step_forever(), name="stepper")
                await self._commit_forever()
        finally:
            self._close()

    def step_once(self) -> tuple[Step, list[asyncio.Future[object] | None]]:
        """Step the core with what has arrived."""
        inbox = self._inbox
        batch = [inbox.popleft() for _ in range(min(len(inbox), STEP_LIMIT))]
        if not inbox:
            self._arrived.clear()
        self._stepped_at = self._clock.now()
        step = self._core.step((one for one, _ in batch), self._stepped_at)
        self._wake_at = step.wake_at
        return step, [future for _, future in batch]

    async def commit_once(
        self, step: Step, futures: list[asyncio.Future[object] | None]
    ) -> None:
        """Make a step durable, then say what it wants said."""
        if step.changes:
            await self._store.commit(self._core.term, step.changes)
        self._release(step)
        for future, reply in zip(futures, step.replies, strict=True):
            if future is None or future.done():
                continue
            if isinstance(reply, RefusedError):
                future.set_exception(reply)
            else:
                future.set_result(reply)

    async def _step_forever(self) -> None:
        while True:
            await self._until_needed()
            step, futures = self.step_once()
            try:
                await self._decided.put((step, futures))
            except BaseException:
                self._refuse(futures)
                raise

    async def _commit_forever(self) -> None:
        while True:
            step, futures = await self._decided.get()
            try:
                await self.commit_once(step, futures)
            except BaseException:
                self._refuse(futures)
                raise

    async def _until_needed(self) -> None:
        """Wait for an input or for the instant at which the core wants to be stepped."""
        while not self._arrived.is_set():
            delay = LONGEST_SLEEP
            now = self._clock.now()
            if now < self._stepped_at:
                # The clock was set back; the instant to wake at is one of the old time.
                return
            if self._wake_at is not None:
                until = (self._wake_at - now) / SECOND
                if until <= 0:
                    return
                delay = min(delay, until)
            try:
                async with asyncio.timeout(delay):
                    await self._arrived.wait()
            except TimeoutError:
                continue

    def _put(
        self,
        one: Input,
        future: asyncio.Future[object] | None,
        *,
        is_urgent: bool = True,
    ) -> None:
        if self._closed:
            raise NotLeadingError
        if len(self._inbox) >= self._inbox_limit:
            raise OverloadedError
        self._inbox.append((one, future))
        if is_urgent:
            self._arrived.set()
        elif self._nudge is None:
            loop = asyncio.get_running_loop()
            self._nudge = loop.call_later(LEISURE, self._stir)

    def _stir(self) -> None:
        self._nudge = None
        self._arrived.set()

    def _close(self) -> None:
        self._closed = True
        if self._nudge is not None:
            self._nudge.cancel()
        while not self._decided.empty():
            self._refuse(self._decided.get_nowait()[1])
        self._refuse([future for _, future in self._inbox])
        self._inbox.clear()

    def _refuse(self, futures: list[asyncio.Future[object] | None]) -> None:
        for future in futures:
            if future is not None and not future.done():
                future.set_exception(NotLeadingError())
