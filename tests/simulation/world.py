"""One world from beginning to rest, and the judgment on it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any, Final

from jobs_grpc.controlplane.core.state.states import IllegalMoveError
from jobs_grpc.worker.attempts.table import IllegalEventError

from .behavior import KINDS, SCHEDULED, SUBMITTED, Kind, spec_named
from .faults import SILENCE, THEMES, Mischief, Script, Theme, script_of, shrunk
from .host import Host
from .keeping import Keeping
from .kernel import SECOND, Clock, Kernel
from .people import People
from .reign import OutputLogs, Reign, Strategies
from .wire import Network
from .witness import FINAL, Violation, Witness

# After the last heal: a restored session may take 65 s to be given up, and what it held
# runs again elsewhere.
_REST: Final = 110 * SECOND
_LOOK: Final = 3 * SECOND


@dataclass(slots=True)
class Verdict:
    """What became of a world."""

    seed: int
    script: Script
    digest: str
    events: int
    violations: list[Violation]
    story: list[tuple[Any, ...]] = field(repr=False, default_factory=list)
    processes: int = 0


class World:
    """Everything there is, put together from a seed."""

    def __init__(
        self, seed: int, strategies: Strategies, theme: Theme | None = None
    ) -> None:
        self.kernel = Kernel(seed)
        self.witness = Witness(self.kernel)
        self.network = Network(self.kernel)
        self.store = Keeping(self.kernel, self.witness)
        self.store.checks_term = strategies.checks_term
        self.logs = OutputLogs()
        self.strategies = strategies
        self.leader_clock = Clock(self.kernel)
        self.leaders: list[Reign] = []
        random = self.kernel.random("world")
        self.theme = theme or random.choice(THEMES)
        kinds = self._draw_kinds()
        for kind in kinds:
            spec = spec_named(kind.name)
            self.witness.deliveries[kind.name] = spec.delivery.value
            if kind.retries:
                self.witness.retries[kind.name] = kind.retries
            if kind.period:
                self.witness.limits[kind.name] = kind.limit
        self.load_until = random.choice((12, 20, 30, 45)) * SECOND
        self.hosts = []
        self.start_leader()
        fewest = 2 if self.theme is SILENCE else 1
        for number in range(random.randint(fewest, 3)):
            host = Host(
                f"w{number}",
                random.randint(1, 3),
                kernel=self.kernel,
                network=self.network,
                witness=self.witness,
                leaders=self.leaders,
                ships_nameless=strategies.ships_nameless,
            )
            self.hosts.append(host)
        self.people = People(self, kinds)

    def _draw_kinds(self) -> tuple[Kind, ...]:
        random = self.kernel.random("world")
        scheduled = random.sample(SCHEDULED, random.randint(1, 3))
        submitted = random.sample(SUBMITTED, random.randint(1, 3))
        if self.theme is SILENCE:
            scheduled = [KINDS["five"], KINDS["second"]]
            submitted = [KINDS["long"], KINDS["long-once"]]
        return (*scheduled, *submitted)

    def leader(self) -> Reign | None:
        """Return the leader that clients find."""
        return next((one for one in reversed(self.leaders) if one.is_leading), None)

    def start_leader(self) -> None:
        self.leaders.append(
            Reign(
                f"leader-{len(self.leaders) + 1}",
                kernel=self.kernel,
                clock=self.leader_clock,
                store=self.store,
                logs=self.logs,
                witness=self.witness,
                strategies=self.strategies,
            )
        )

    def kill_leader(self, restart_after: int) -> None:
        leader = self.leaders[-1]
        if leader.process.is_alive:
            leader.die()
            self.network.gone(leader.process)
            self.kernel.after(max(restart_after, 50_000), None, self.start_leader)

    def heal_at(self, end: int) -> int:
        """Return when a fault ends that would end then: all do before the rest."""
        return max(self.kernel.now, min(end, self.load_until + 45 * SECOND))

    def live(self, script: Script | None) -> Script:
        """Let it all happen; return the script."""
        if script is None:
            script = script_of(self, self.load_until)
        Mischief(self).prepare(script)
        self.people.begin(self.load_until)
        self.kernel.advance(self.load_until + SECOND)
        self.people.quieten()
        healed_at = max(
            [fault.at + fault.length for fault in script], default=self.load_until
        )
        healed_at = min(healed_at, self.load_until + 45 * SECOND)
        healed_at = max(healed_at, self.load_until)
        # A slow commit that began before it may take ten seconds more.
        self.kernel.advance(healed_at + 11 * SECOND)
        while not self.is_at_rest:
            # What still runs, one after the other, is no standstill.
            progress = max(healed_at, self.witness.progress_at)
            if self.kernel.now > progress + _REST:
                break
            self.kernel.advance(self.kernel.now + _LOOK)
        self.witness.conclude(leader_now=self.leader_clock.now(), healed_at=healed_at)
        return script

    @property
    def is_at_rest(self) -> bool:
        witness = self.witness
        return (
            self.people.is_quiet
            and self.leader() is not None
            and not any(witness.living.values())
            and all(seen.state in FINAL for seen in witness.executions.values())
            and all(
                host.daemon is not None
                and host.daemon.process.is_alive
                and host.daemon.is_at_rest
                for host in self.hosts
            )
        )


def simulate(
    seed: int,
    *,
    script: Script | None = None,
    strategies: Strategies | None = None,
    theme: Theme | None = None,
) -> Verdict:
    """Make the world of a seed, let it live, judge it."""
    world = World(seed, strategies or Strategies(), theme)
    witness = world.witness
    done: Script = script or ()
    heard = logging.root.manager.disable
    logging.disable()
    try:
        done = world.live(script)
    except (
        AssertionError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
        IllegalMoveError,
        IllegalEventError,
    ) as error:
        done = script if script is not None else script_of_seed(seed, theme)
        witness.complain("crash", f"{type(error).__name__}: {error}")
    finally:
        logging.disable(heard)
    return Verdict(
        seed,
        done,
        world.kernel.digest(),
        world.kernel.events,
        witness.violations,
        world.kernel.story,
        sum(map(len, witness.spawns.values())),
    )


def script_of_seed(seed: int, theme: Theme | None) -> Script:
    """Return the script that a seed draws."""
    world = World(seed, Strategies(), theme)
    return script_of(world, world.load_until)


def reduced(
    verdict: Verdict,
    strategies: Strategies | None = None,
    theme: Theme | None = None,
) -> Verdict:
    """Return the same failure with as few faults as it takes."""
    wanted = verdict.violations[0].invariant

    def live(script: Script) -> Verdict:
        return simulate(verdict.seed, script=script, strategies=strategies, theme=theme)

    def fails(script: Script) -> bool:
        return any(one.invariant == wanted for one in live(script).violations)

    return live(shrunk(verdict.script, fails))
