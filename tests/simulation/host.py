"""A worker's host: its disk, its clock, its processes, its keeper and session process."""

from __future__ import annotations

from collections.abc import Iterator

from jobs_grpc.worker.keeper.spool import Frame, Stream

from .daemon import Daemon
from .keeper import Fact, Keeper, VirtualProcess
from .kernel import SECOND, Clock, Kernel, Process
from .reign import Reign
from .wire import Network
from .witness import Witness


class Spool:
    """The output of one attempt on this disk."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.size = 0

    def append(self, data: bytes, at: int) -> None:
        self.frames.append(Frame(Stream.STDOUT, at, self.size, data))
        self.size += len(data)


class SpoolView:
    """Reads a spool from an offset, as `SpoolReader` does from its file."""

    def __init__(self, spool: Spool | None, offset: int) -> None:
        self._spool = spool
        self._offset = offset
        # Virtual output stays far below its limit: nothing is dropped of it.
        self.kept = None
        self.holes: list[range] = []

    def __iter__(self) -> Iterator[Frame]:
        if self._spool is None:
            return
        for frame in self._spool.frames:
            if frame.end <= self._offset:
                continue
            skip = max(0, self._offset - frame.offset)
            self._offset = frame.end
            yield frame._replace(
                offset=frame.offset + skip, payload=frame.payload[skip:]
            )

    def skip_damage(self) -> bool:
        return False

    def close(self) -> None:
        """Nothing is open."""


class Host:
    """Survives its processes; its disk survives it."""

    def __init__(
        self,
        name: str,
        slots: int,
        *,
        kernel: Kernel,
        network: Network,
        witness: Witness,
        leaders: list[Reign],
        ships_nameless: bool = False,
    ) -> None:
        self.name = name
        self.slots = slots
        self.kernel = kernel
        self.network = network
        self.witness = witness
        self.leaders = leaders
        # See `plants`.
        self.ships_nameless = ships_nameless
        self.random = kernel.random(f"host {name}")
        self.clock = Clock(kernel, int((self.random.random() - 0.5) * 0.2 * SECOND))
        self.boot = 1
        self.full_until = -1
        # Everything that a power cut ends.
        self.life = Process(name)
        self.processes: dict[int, VirtualProcess] = {}
        # The disk: journals with how far they are synced, spools, identity.
        self.keeper_disk: list[Fact] = []
        self.keeper_synced = 0
        self.journal: list[bytes] = []
        self.journal_synced = 0
        self.spools: dict[int, Spool] = {}
        self.session_id = ""
        self.highest_term = 0
        self.keeper: Keeper | None = None
        self.daemon: Daemon | None = None
        witness.slots[name] = slots
        self.start_daemon()

    def after(self, delay: int, action: object, *args: object) -> None:
        self.kernel.after(delay, self.life, action, *args)  # type: ignore[arg-type]

    @property
    def is_full(self) -> bool:
        return self.kernel.now < self.full_until

    def sync_delay(self) -> int:
        return 500 + int(self.random.random() * 12_000)

    def spool_size(self, fence: int) -> int:
        spool = self.spools.get(fence)
        return 0 if spool is None else spool.size

    # Processes --------------------------------------------------------------------------

    def prints(self, process: VirtualProcess, data: bytes) -> None:
        """A process prints, and its keeper reads it; without a keeper it is nobody's."""
        keeper = self.keeper
        if not process.is_alive or keeper is None or not keeper.process.is_alive:
            return
        fence = process.order.fence
        self.witness.printed(process.spawn, data)
        spool = self.spools.setdefault(fence, Spool())
        spool.append(data, self.clock.now())
        if keeper.on_growth is not None:
            keeper.on_growth(fence, spool.size)

    def exits(self, process: VirtualProcess) -> None:
        """A process ends by itself."""
        if process.is_alive:
            self.ends(process, "signal" if process.behavior.signal else "exit")
            if self.keeper is not None:
                keeper = self.keeper
                self.kernel.after(50, keeper.process, keeper.reaped, process)

    def ends(self, process: VirtualProcess, how: str) -> None:
        process.is_alive = False
        self.processes.pop(process.order.fence, None)
        code = process.behavior.exit_code if how == "exit" else 0
        self.kernel.tell(self.name, "ends", process.order.fence, how, code)
        self.witness.finished(process.spawn, how, code)

    # Programs ---------------------------------------------------------------------------

    def need_keeper(self) -> Keeper | None:
        """Return the keeper, or see to it that one is started soon."""
        if self.keeper is not None and self.keeper.process.is_alive:
            return None if self.keeper.process.is_frozen else self.keeper
        if self.keeper is not None:
            self.keeper = None
            self.after(self.random.randint(60_000, 900_000), self._start_keeper)
        elif not self._is_starting_keeper:
            self._is_starting_keeper = True
            self.after(self.random.randint(60_000, 200_000), self._start_keeper)
        return None

    _is_starting_keeper = False

    def _start_keeper(self) -> None:
        self._is_starting_keeper = False
        if self.keeper is None:
            self.keeper = Keeper(self)

    def start_daemon(self) -> None:
        if self.daemon is None or not self.daemon.process.is_alive:
            self.daemon = Daemon(self)

    def kill_daemon(self, restart_after: int) -> None:
        """Kill the session process; its service manager starts another."""
        if self.daemon is not None and self.daemon.process.is_alive:
            self.daemon.die()
            self.network.gone(self.daemon.process)
            self.after(restart_after, self.start_daemon)

    def kill_keeper(self) -> None:
        if self.keeper is not None and self.keeper.process.is_alive:
            self.keeper.die()
            if self.daemon is not None:
                self.daemon.keeper_lost()

    def crash(self, restart_after: int) -> None:
        """Power is cut: processes go, and of the disk what was not synced."""
        self.kernel.tell(self.name, "crashes")
        self.witness.crashed(self.name)
        for process in tuple(self.processes.values()):
            self.ends(process, "gone")
        if self.daemon is not None:
            self.daemon.die()
            self.network.silenced(self.daemon.process)
        if self.keeper is not None:
            self.keeper.die()
        self.kernel.kill(self.life)
        self.life = Process(self.name)
        draw = self.random.random
        kept = self.keeper_synced
        kept += int(draw() * (len(self.keeper_disk) - kept + 1))
        self.keeper_disk = self.keeper_disk[:kept]
        self.keeper_synced = len(self.keeper_disk)
        kept = self.journal_synced
        kept += int(draw() * (len(self.journal) - kept + 1))
        self.journal = self.journal[:kept]
        self.journal_synced = len(self.journal)
        self.keeper = self.daemon = None
        self._is_starting_keeper = False
        self.boot += 1
        self.kernel.after(restart_after, None, self.start_daemon)
