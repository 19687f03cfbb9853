"""A small model of the keeper and of the processes under it.

Its promises are those of `worker/keeper`: an attempt is noted before its process may exist,
an end is told to nobody before its record is on disk, the same fence is never started
twice, and what a killed keeper left behind is ended by the next one and recorded as lost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from jobs_grpc.worker.keeper.protocol import AttemptStatus
from jobs_grpc.worker.keeper.record import ExitRecord, Outcome

from .behavior import KINDS, Behavior, behavior_of
from .kernel import Process
from .witness import Spawn

if TYPE_CHECKING:
    from .host import Host


class Order(NamedTuple):
    """What a start request says."""

    fence: int
    execution_id: str
    attempt: int
    job: str
    timeout: int
    grace: int
    # True time of the decision that it may begin.
    ordered_at: int


@dataclass(slots=True, eq=False)
class VirtualProcess:
    """A job's process: it belongs to the host, whatever becomes of its keeper."""

    order: Order
    behavior: Behavior
    spawn: Spawn
    started_at: int
    is_alive: bool = True


@dataclass(slots=True)
class Fact:
    """A line of the keeper's journal."""

    kind: str
    fence: int
    boot: int
    started_at: int = 0
    record: ExitRecord | None = None


@dataclass(slots=True)
class Kept:
    """An attempt in the keeper."""

    process: VirtualProcess | None
    started_at: int
    record: ExitRecord | None = None
    is_durable: bool = False
    stopped: Outcome | None = None
    waiting: list[Callable[[], None]] = field(default_factory=list)


class Keeper:
    """One keeper process."""

    def __init__(self, host: Host) -> None:
        self.process = Process(f"keeper of {host.name}")
        self._host = host
        self._kernel = host.kernel
        self._random = host.random
        self._kept: dict[int, Kept] = {}
        # Who hears of ends and growth: the session process, while it is connected.
        self.on_exit: Callable[[ExitRecord], None] | None = None
        self.on_growth: Callable[[int, int], None] | None = None
        self._is_syncing = False
        self._unsynced: list[Kept] = []
        self._settle_past()

    def die(self) -> None:
        """Killed; its processes are orphans until the next keeper comes."""
        self._kernel.kill(self.process)
        self.on_exit = self.on_growth = None

    # Requests ---------------------------------------------------------------------------

    def start(self, order: Order, answer: Callable[[int], None]) -> None:
        """Start a process; `answer` gets the instant of its start."""
        kept = self._kept.get(order.fence)
        if kept is None:
            kept = self._start_new(order)
        elif kept.record is not None and not kept.is_durable:
            started_at = kept.started_at
            kept.waiting.append(lambda: answer(started_at))
            return
        answer(kept.started_at)
        if kept.record is not None and self.on_exit is not None:
            self.on_exit(kept.record)

    def cancel(self, fence: int) -> None:
        kept = self._kept.get(fence)
        if kept is not None and kept.process is not None:
            self._stop(fence, Outcome.CANCELLED)

    def forget(self, fence: int) -> bool:
        kept = self._kept.get(fence)
        if kept is not None and not kept.is_durable:
            return False
        self._kept.pop(fence, None)
        self._host.keeper_disk.append(Fact("forgotten", fence, self._host.boot))
        self._host.spools.pop(fence, None)
        return True

    def listing(self) -> list[AttemptStatus]:
        return [self._status(fence, kept) for fence, kept in self._kept.items()]

    def _status(self, fence: int, kept: Kept) -> AttemptStatus:
        state = "running"
        if kept.record is not None:
            state = "ended" if kept.is_durable else "ending"
        return AttemptStatus(
            fence=fence,
            state=state,
            pid=1,
            started_at_us=kept.started_at,
            output_bytes=self._host.spool_size(fence),
            record=kept.record if kept.is_durable else None,
        )

    # Processes --------------------------------------------------------------------------

    def _start_new(self, order: Order) -> Kept:
        host = self._host
        host.keeper_disk.append(Fact("starting", order.fence, host.boot))
        now = host.clock.now()
        kind = KINDS[order.job]
        behavior = behavior_of(
            self._kernel.seed, kind, order.execution_id, order.attempt
        )
        spawn = Spawn(
            order.execution_id,
            order.job,
            order.attempt,
            order.fence,
            host.name,
            self._kernel.now,
            order.ordered_at,
        )
        process = VirtualProcess(order, behavior, spawn, now)
        host.processes[order.fence] = process
        self._kernel.tell(host.name, "starts", order.fence)
        host.witness.began(spawn)
        host.keeper_disk.append(Fact("started", order.fence, host.boot, now))
        kept = self._kept[order.fence] = Kept(process, now)
        after = self._kernel.after
        # A process lives its own life; what it prints is read only while a keeper lives.
        for at, data in behavior.prints:
            after(at, host.life, host.prints, process, data)
        after(behavior.duration, host.life, host.exits, process)
        after(order.timeout, self.process, self._stop, order.fence, Outcome.TIMED_OUT)
        return kept

    def _stop(self, fence: int, outcome: Outcome) -> None:
        """Begin the ladder: a signal, a grace, and the end."""
        kept = self._kept.get(fence)
        if kept is None or kept.process is None or kept.stopped is not None:
            return
        kept.stopped = outcome
        process = kept.process
        dying = process.behavior.dying
        grace = process.order.grace
        delay = dying if 0 <= dying <= grace else grace
        self._kernel.after(delay, self.process, self._end, fence)

    def _end(self, fence: int) -> None:
        kept = self._kept.get(fence)
        if kept is None or kept.process is None or not kept.process.is_alive:
            return
        how = "cancel" if kept.stopped is Outcome.CANCELLED else "timeout"
        self._host.ends(kept.process, how)
        self.reaped(kept.process)

    def reaped(self, process: VirtualProcess) -> None:
        """A child of this keeper has ended."""
        fence = process.order.fence
        kept = self._kept.get(fence)
        if kept is None or kept.process is not process or kept.record is not None:
            return
        spawn = process.spawn
        outcome = {
            "exit": Outcome.EXITED,
            "signal": Outcome.SIGNALED,
            "cancel": Outcome.CANCELLED,
            "timeout": Outcome.TIMED_OUT,
        }[spawn.how]
        kept.record = ExitRecord(
            fence=fence,
            outcome=outcome,
            exit_code=spawn.code if spawn.how == "exit" else None,
            signal=process.behavior.signal or None if spawn.how == "signal" else None,
            started_at_us=kept.started_at,
            finished_at_us=self._host.clock.now(),
            output_bytes=self._host.spool_size(fence),
        )
        kept.process = None
        fact = Fact("ended", fence, self._host.boot, kept.started_at, kept.record)
        self._host.keeper_disk.append(fact)
        self._unsynced.append(kept)
        self._sync_soon()

    def _sync_soon(self) -> None:
        if self._is_syncing or not self._unsynced:
            return
        self._is_syncing = True
        group, self._unsynced = self._unsynced, []
        length = len(self._host.keeper_disk)
        delay = self._host.sync_delay()
        self._kernel.after(delay, self.process, self._synced, group, length)

    def _synced(self, group: list[Kept], length: int) -> None:
        self._is_syncing = False
        self._host.keeper_synced = max(self._host.keeper_synced, length)
        for kept in group:
            kept.is_durable = True
            record = kept.record
            assert record is not None
            for spawn in self._host.witness.spawns[record.fence]:
                spawn.is_recorded = True
            waiting, kept.waiting = kept.waiting, []
            for callback in waiting:
                callback()
            if self.on_exit is not None:
                self.on_exit(record)
        self._sync_soon()

    # The past ---------------------------------------------------------------------------

    def _settle_past(self) -> None:
        """Read what the last keeper noted; end what it left behind."""
        host = self._host
        remembered: dict[int, Fact] = {}
        for fact in host.keeper_disk:
            match fact.kind:
                case "starting" | "started" | "ended":
                    remembered[fact.fence] = fact
                case _:
                    remembered.pop(fact.fence, None)
        for fence, fact in remembered.items():
            record = fact.record
            if record is None:
                process = host.processes.get(fence)
                if process is not None and process.is_alive:
                    host.ends(process, "swept")
                record = ExitRecord(
                    fence=fence,
                    outcome=Outcome.LOST,
                    started_at_us=fact.started_at or None,
                    finished_at_us=host.clock.now(),
                    output_bytes=host.spool_size(fence),
                    error="the keeper was killed",
                )
            self._kept[fence] = Kept(None, fact.started_at, record, is_durable=True)
        host.keeper_disk = [
            Fact("ended", fence, host.boot, kept.started_at, kept.record)
            for fence, kept in self._kept.items()
        ]
        host.keeper_synced = len(host.keeper_disk)
