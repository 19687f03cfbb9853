"""One stream between a worker and a leader, as TCP and gRPC make it.

Within a stream and direction messages arrive in their order or not at all. A cut does not
end a stream: messages wait, and arrive when the cut heals, unless a side has given up by
then, each at a time of its own (keepalive notices within 15 seconds). So a leader may hear
the old stream of a worker after its new one, or hold a stream whose other end is long gone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from .kernel import SECOND, Kernel, Process

# Keepalive: a ping after ten seconds, five more for its answer.
_NOTICE: Final = (10 * SECOND, 15 * SECOND)

Receive = Callable[[Any], None]


class End:
    """One side of a stream."""

    __slots__ = ("_wire", "is_open", "on_closed", "on_message", "process")

    def __init__(self, wire: Wire, process: Process) -> None:
        self._wire = wire
        self.process = process
        self.is_open = True
        self.on_message: Receive = lambda _message: None
        self.on_closed: Callable[[], None] = lambda: None

    def send(self, message: Any) -> None:
        if self.is_open:
            self._wire.carry(self, message)

    def close(self) -> None:
        """End the stream; what was sent before still travels."""
        if self.is_open:
            self.is_open = False
            self._wire.carry(self, _EndOfStream)

    def vanish(self) -> None:
        """The process of this side is gone; the other is told, if the network lets it."""
        self.close()


class _EndOfStream:
    """The last message of every stream that ends in order."""


class Network:
    """Which hosts are cut off, and how long messages take."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.random = kernel.random("network")
        # host -> directions that are stalled: "up" to the leader, "down" from it.
        self.cuts: dict[str, set[str]] = {}
        self.wires: list[Wire] = []

    def delay(self) -> int:
        # Mostly a local network, sometimes a bad moment.
        draw = self.random.random()
        if draw < 0.02:
            return int(self.random.random() * 2 * SECOND)
        return 200 + int(draw * 3_000)

    def is_cut(self, host: str, direction: str) -> bool:
        return direction in self.cuts.get(host, ())

    def cut(self, host: str, directions: set[str]) -> None:
        self.cuts[host] = directions
        for wire in self.wires:
            if wire.host == host:
                wire.stalled()

    def heal(self, host: str) -> None:
        if self.cuts.pop(host, None):
            for wire in tuple(self.wires):
                if wire.host == host:
                    wire.flowing()

    def connect(self, host: str, worker: Process, leader: Process) -> Wire:
        wire = Wire(self, host, worker, leader)
        self.wires.append(wire)
        return wire

    def gone(self, process: Process) -> None:
        """A process was killed: its kernel says so to the other ends."""
        for wire in tuple(self.wires):
            for end in (wire.worker, wire.leader):
                if end.process is process:
                    end.close()

    def silenced(self, process: Process) -> None:
        """A whole host went down: nobody says anything to the other ends."""
        for wire in tuple(self.wires):
            if process in {wire.worker.process, wire.leader.process}:
                wire.stalled()
                wire.silence()

    def frozen(self, process: Process) -> None:
        """A frozen process answers no pings; the other ends notice."""
        for wire in self.wires:
            if wire.worker.process is process:
                wire.watch(wire.leader, process)
            elif wire.leader.process is process:
                wire.watch(wire.worker, process)

    def reset(self, host: str) -> None:
        """Break every stream of a host, as a router that restarts does."""
        for wire in tuple(self.wires):
            if wire.host == host:
                wire.reset()


class Wire:
    """A stream: two ends and what is on its way."""

    __slots__ = (
        "_clear_at",
        "_generation",
        "_held",
        "_network",
        "host",
        "leader",
        "worker",
    )

    def __init__(
        self, network: Network, host: str, worker: Process, leader: Process
    ) -> None:
        self._network = network
        self.host = host
        self.worker = End(self, worker)
        self.leader = End(self, leader)
        # When the last message of each direction arrives; and those that wait for a heal.
        self._clear_at = {"up": 0, "down": 0}
        self._held: dict[str, list[Any]] = {"up": [], "down": []}
        self._generation = 0

    def carry(self, sender: End, message: Any) -> None:
        direction = "up" if sender is self.worker else "down"
        if self._held[direction] or self._network.is_cut(self.host, direction):
            self._held[direction].append(message)
        else:
            self._travel(direction, message)

    def stalled(self) -> None:
        """The cut begins: each side notices by keepalive, sooner or later."""
        self._generation += 1
        random, kernel = self._network.random, self._network.kernel
        for end in (self.worker, self.leader):
            notice = random.randint(*_NOTICE)
            kernel.after(notice, end.process, self._notice, end, self._generation)

    def flowing(self) -> None:
        """The cut is healed: what waited goes on, in order."""
        self._generation += 1
        for direction in ("up", "down"):
            held, self._held[direction] = self._held[direction], []
            for message in held:
                self._travel(direction, message)

    def reset(self) -> None:
        """Both ends notice within moments; what was on its way is lost."""
        self._generation += 1
        kernel, random = self._network.kernel, self._network.random
        self._held = {"up": [], "down": []}
        # Whatever still travels finds nobody.
        for end in (self.worker, self.leader):
            late = random.random() < 0.3
            delay = random.randint(0, 12 * SECOND if late else 50_000)
            kernel.after(delay, end.process, self._break, end)
        self._clear_at = {"up": -1, "down": -1}

    def silence(self) -> None:
        """Nothing travels on this stream any more."""
        self._held = {"up": [], "down": []}
        self._clear_at = {"up": -1, "down": -1}

    def watch(self, end: End, other: Process) -> None:
        """Let an end give up if the other process stays frozen."""
        notice = self._network.random.randint(*_NOTICE)
        self._network.kernel.after(notice, end.process, self._give_up, end, other)

    def _give_up(self, end: End, other: Process) -> None:
        if other.is_frozen:
            self._break(end)

    def _notice(self, end: End, generation: int) -> None:
        if generation == self._generation:
            self._break(end)

    def _break(self, end: End) -> None:
        if end.is_open:
            end.is_open = False
            end.on_closed()
        self._forget()

    def _travel(self, direction: str, message: Any) -> None:
        if self._clear_at[direction] < 0:
            return  # the stream was reset
        kernel = self._network.kernel
        end = self.leader if direction == "up" else self.worker
        at = max(kernel.now + self._network.delay(), self._clear_at[direction])
        self._clear_at[direction] = at
        kernel.after(
            at - kernel.now, end.process, self._arrive, end, direction, message
        )

    def _arrive(self, end: End, direction: str, message: Any) -> None:
        if self._clear_at[direction] < 0 or not end.is_open:
            return
        if message is _EndOfStream:
            end.is_open = False
            end.on_closed()
            self._forget()
        else:
            end.on_message(message)

    def _forget(self) -> None:
        if not self.worker.is_open and not self.leader.is_open:
            wires = self._network.wires
            if self in wires:
                wires.remove(self)
