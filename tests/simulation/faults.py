"""The script of faults: drawn from the seed, written down, cut down when it fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from .kernel import SECOND, Process

if TYPE_CHECKING:
    from .host import Host
    from .world import World

# How often each fault is drawn, against the others.
WEIGHTS: Final = {
    "kill leader": 4,
    "freeze leader": 2,
    "take over": 2,
    "kill daemon": 3,
    "freeze daemon": 2,
    "kill keeper": 2,
    "freeze keeper": 1,
    "crash host": 2,
    "cut": 4,
    "cut up": 1,
    "cut down": 1,
    "reset": 3,
    "store full": 2,
    "store slow": 1,
    "store ambiguous": 2,
    "step leader": 1,
    "step host": 1,
    "disk full": 1,
}
_AT_THE_LEADER: Final = frozenset(
    {kind for kind in WEIGHTS if "leader" in kind or "store" in kind} | {"take over"}
)
_CUTS: Final = {"cut": {"up", "down"}, "cut up": {"up"}, "cut down": {"down"}}
# Pauses, cuts: mostly around the limits that matter (15 s keepalive, 35 s sessions).
_LENGTHS: Final = (0.5, 2.0, 9.0, 20.0, 40.0, 60.0)


class Theme(NamedTuple):
    """What a world suffers from."""

    weights: Mapping[str, int]
    lengths: tuple[float, ...] = _LENGTHS


MIXED: Final = Theme(WEIGHTS)
# Hosts that are silent for longer than their sessions live, while long work goes on.
SILENCE: Final = Theme(
    {"cut": 4, "freeze daemon": 4, "crash host": 1, "kill leader": 1, "reset": 1},
    (20.0, 40.0, 60.0, 80.0),
)
LEADERS: Final = Theme(
    {
        "kill leader": 4,
        "take over": 3,
        "freeze leader": 2,
        "store ambiguous": 2,
        "store full": 2,
        "store slow": 2,
        "reset": 2,
        "step leader": 1,
    }
)
HOSTS: Final = Theme(
    {
        "kill daemon": 4,
        "kill keeper": 4,
        "crash host": 3,
        "disk full": 2,
        "freeze keeper": 1,
        "freeze daemon": 1,
        "reset": 2,
    },
    (0.5, 2.0, 9.0, 20.0),
)
THEMES: Final = (MIXED, MIXED, SILENCE, LEADERS, HOSTS)
_STEPS: Final = (-3600.0, -61.0, -2.0, 2.0, 4.0, 61.0, 3600.0)


class Fault(NamedTuple):
    """One line of a script. Times in microseconds; `target` picks a host."""

    at: int
    kind: str
    target: int = 0
    length: int = 0
    # Of a step: how far.
    by: int = 0

    def __str__(self) -> str:
        words = f"{self.at / SECOND:9.3f} s  {self.kind}"
        if self.kind not in _AT_THE_LEADER:
            words += f" of host {self.target}"
        if self.by:
            return f"{words} by {self.by / SECOND:+g} s"
        return f"{words} for {self.length / SECOND:g} s" if self.length else words


Script = tuple[Fault, ...]


def script_of(world: World, load_until: int) -> Script:
    """Draw the script of a world."""
    random = world.kernel.random("faults")
    theme = world.theme
    kinds, weights = list(theme.weights), list(theme.weights.values())
    faults = []
    steps = 0
    for _ in range(random.choice((0, 1, 2, 3, 3, 4, 5, 7))):
        kind = random.choices(kinds, weights)[0]
        at = random.randint(2 * SECOND, load_until)
        length = int(
            random.choice(theme.lengths) * SECOND * (0.6 + 0.6 * random.random())
        )
        by = int(random.choice(_STEPS) * SECOND) if "step" in kind else 0
        target = random.randrange(8)
        if by and steps == 2:
            continue  # a session's time is the leader's wall clock, within small steps
        steps += bool(by)
        faults.append(Fault(at, kind, target, length if not by else 0, by))
    return tuple(sorted(faults))


class Mischief:
    """Carries a script out."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._kernel = world.kernel

    def prepare(self, script: Script) -> None:
        for fault in script:
            self._kernel.after(fault.at, None, self._do, fault)

    def _do(self, fault: Fault) -> None:
        self._kernel.tell("fault", str(fault))
        world = self._world
        end = world.heal_at(self._kernel.now + fault.length)
        length = end - self._kernel.now
        if fault.kind in _AT_THE_LEADER:
            # New terms and reloaded cores need their moment too.
            world.witness.fault(self._kernel.now, end + 10 * SECOND)
            self._break_leader(fault, length)
        else:
            host = world.hosts[fault.target % len(world.hosts)]
            self._break_host(fault, host, length)

    def _break_leader(self, fault: Fault, length: int) -> None:
        world = self._world
        end = self._kernel.now + length
        match fault.kind:
            case "kill leader":
                world.kill_leader(min(length, 8 * SECOND))
            case "freeze leader":
                self._freeze(world.leaders[-1].process, length)
            case "take over":
                self._freeze(world.leaders[-1].process, length)
                world.start_leader()
            case "store full":
                world.store.full_until = end
            case "store slow":
                world.store.slow_until = end
            case "store ambiguous":
                world.store.ambiguous_until = end
            case _:
                world.leader_clock.offset += fault.by

    def _break_host(self, fault: Fault, host: Host, length: int) -> None:
        match fault.kind:
            case "kill daemon":
                host.kill_daemon(min(length, 20 * SECOND))
            case "freeze daemon" if host.daemon is not None:
                self._freeze(host.daemon.process, length)
            case "kill keeper":
                host.kill_keeper()
            case "freeze keeper" if host.keeper is not None:
                self._freeze(host.keeper.process, min(length, 12 * SECOND))
            case "crash host":
                host.crash(length)
            case "reset":
                self._world.network.reset(host.name)
            case "step host":
                host.clock.offset += fault.by
            case "disk full":
                host.full_until = self._kernel.now + length
            case _ if fault.kind in _CUTS:
                self._world.network.cut(host.name, _CUTS[fault.kind])
                self._kernel.after(length, None, self._world.network.heal, host.name)
            case _:
                pass  # what it wanted to freeze is down already

    def _freeze(self, process: Process, length: int) -> None:
        if process.is_alive and not process.is_frozen:
            self._kernel.freeze(process)
            self._world.network.frozen(process)
            self._kernel.after(length, None, self._kernel.thaw, process)


def shrunk(script: Script, fails: Callable[[Script], bool]) -> Script:
    """Return a part of the script that still fails, with no part to spare.

    Delta debugging (Zeller and Hildebrandt, 2002): drop chunks, smaller and smaller.
    """
    size = len(script)
    while size >= 1 and script:
        start, dropped = 0, False
        while start < len(script):
            rest: Sequence[Fault] = (*script[:start], *script[start + size :])
            if fails(tuple(rest)):
                script, dropped = tuple(rest), True
            else:
                start += size
        if not dropped:
            size //= 2
    return script
