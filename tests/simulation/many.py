"""`make simulate`: many worlds on all cores, or one with its whole story."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable
from multiprocessing import get_context
from typing import Final, NamedTuple

from .faults import Theme
from .plants import PLANTS
from .reign import Strategies
from .world import Verdict, reduced, simulate

_GROUP: Final = 25
# One in so many worlds is made twice, and must have the same trace both times.
_AGAIN: Final = 100


class Group(NamedTuple):
    """What became of a group of worlds."""

    worlds: int
    events: int
    processes: int
    faults: int
    failed: tuple[int, ...]
    unequal: tuple[int, ...]
    digests: tuple[tuple[int, str], ...]


def main() -> int:
    """Return 1 if any world broke a promise."""
    options = _options()
    if options.seed is not None:
        return _tell_one(options.seed, options.plant)
    seeds = range(options.first, options.first + options.seeds)
    groups = [seeds[start : start + _GROUP] for start in range(0, len(seeds), _GROUP)]
    began = time.monotonic()
    # Fresh interpreters: nothing is shared, not even the hash seed.
    with get_context("spawn").Pool(options.jobs) as pool:
        results = _shown(pool.imap(_live, groups), len(seeds))
    seconds = time.monotonic() - began
    return _report(results, seconds)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2_000, help="how many worlds")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--seed", type=int, help="one world, with its story")
    parser.add_argument("--plant", choices=sorted(PLANTS), help="with this bug put in")
    return parser.parse_args()


def _live(seeds: range) -> Group:
    events = processes = faults = 0
    failed, unequal, digests = [], [], []
    for seed in seeds:
        verdict = simulate(seed)
        events += verdict.events
        processes += verdict.processes
        faults += len(verdict.script)
        if verdict.violations:
            failed.append(seed)
        if seed % _AGAIN == 0:
            digests.append((seed, verdict.digest))
            if simulate(seed).digest != verdict.digest:
                unequal.append(seed)
    return Group(
        len(seeds),
        events,
        processes,
        faults,
        tuple(failed),
        tuple(unequal),
        tuple(digests),
    )


def _shown(results: Iterable[Group], total: int) -> list[Group]:
    done, found = 0, []
    for group in results:
        found.append(group)
        done += group.worlds
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{done}/{total} worlds")
            sys.stderr.flush()
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    return found


def _report(groups: list[Group], seconds: float) -> int:
    worlds = sum(group.worlds for group in groups)
    failed = [seed for group in groups for seed in group.failed]
    unequal = [seed for group in groups for seed in group.unequal]
    for seed, digest in (one for group in groups for one in group.digests):
        print(f"trace of seed {seed}: {digest}")
    print(
        f"{worlds} worlds, {sum(group.faults for group in groups)} faults,"
        f" {sum(group.processes for group in groups)} processes,"
        f" {sum(group.events for group in groups)} events"
        f" in {seconds:.1f} s ({worlds / seconds:.0f} worlds/s):"
        f" {len(failed)} broke a promise"
    )
    for seed in unequal:
        print(f"seed {seed}: two traces of one seed differ")
    for seed in failed[:5]:
        print()
        tell(simulate(seed))
    return 1 if failed or unequal else 0


def _tell_one(seed: int, plant: str | None) -> int:
    planted = PLANTS[plant] if plant else None
    strategies = planted.strategies() if planted else None
    theme = planted.theme if planted else None
    verdict = simulate(seed, strategies=strategies, theme=theme)
    for line in verdict.story:
        print(f"{line[0] / 1e6:11.6f}  {' '.join(map(str, line[1:]))}")
    if verdict.violations:
        print()
        tell(verdict, strategies, theme)
    print(f"seed {seed}: {verdict.events} events, trace {verdict.digest}")
    return 1 if verdict.violations else 0


def tell(
    verdict: Verdict,
    strategies: Strategies | None = None,
    theme: Theme | None = None,
) -> None:
    """Print a failure: the seed, the faults that it takes, and what they break."""
    few = reduced(verdict, strategies, theme)
    print(f"seed {verdict.seed}: {len(verdict.script)} faults, of which it takes")
    for fault in few.script:
        print(f"  {fault}")
    for violation in few.violations[:10]:
        print(f"  {violation}")
    print(f"  again: PYTHONPATH=tests python -m simulation --seed {verdict.seed}")
