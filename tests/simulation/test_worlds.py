"""Worlds of fixed seeds: no promise is broken, equal seeds make equal traces."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from simulation.faults import Fault, Theme, shrunk
from simulation.plants import PLANTS
from simulation.world import reduced, simulate

# The rest of the 2,000 is for `make simulate`.
GROUPS: Final = 6
WORLDS: Final = 25
# In so many worlds each plant is found; the rarest shows in one of fifty.
PLANTED_WORLDS: Final = 400
LEDGER: Final = json.loads(
    Path(__file__).with_name("ledger.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("group", range(GROUPS))
def test_no_world_breaks_a_promise(group: int) -> None:
    for seed in range(group * WORLDS, (group + 1) * WORLDS):
        verdict = simulate(seed)
        assert not verdict.violations, _story(seed)


@pytest.mark.parametrize("bug", LEDGER)
def test_seeds_that_found_a_bug_find_none(bug: str) -> None:
    # That the worlds would still find it is the business of the plant of that name, where
    # it is frequent enough to have one.
    theme = PLANTS[bug].theme if bug in PLANTS else None
    for seed in LEDGER[bug]:
        assert not simulate(seed, theme=theme).violations, _story(seed, theme)


def _story(seed: int, theme: Theme | None = None) -> str:
    verdict = reduced(simulate(seed, theme=theme), theme=theme)
    lines = [f"seed {seed}", *map(str, verdict.script), *map(str, verdict.violations)]
    return "\n".join(lines)


@pytest.mark.parametrize("bug", PLANTS)
def test_a_planted_bug_is_found(bug: str) -> None:
    plant = PLANTS[bug]
    for seed in range(PLANTED_WORLDS):
        verdict = simulate(seed, strategies=plant.strategies(), theme=plant.theme)
        if plant.breaks & {one.invariant for one in verdict.violations}:
            return
    pytest.fail(f"{PLANTED_WORLDS} worlds did not notice: {bug}")


def test_equal_seeds_make_equal_traces_in_every_process() -> None:
    program = (
        "from simulation.world import simulate\n"
        "print(*(simulate(seed).digest for seed in (2, 7, 15, 41)))"
    )
    digests = set()
    for hash_seed in ("0", "1", "4711"):
        told = subprocess.run(
            [sys.executable, "-c", program],
            env={
                **os.environ,
                "PYTHONHASHSEED": hash_seed,
                "PYTHONPATH": str(Path(__file__).parents[1]),
            },
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(told.stdout)
    assert len(digests) == 1
    assert len(set(digests.pop().split())) == 4


def test_a_script_is_cut_down_to_what_it_takes() -> None:
    script = tuple(Fault(at, "reset") for at in range(9))
    needed = {script[2], script[7]}
    assert set(shrunk(script, lambda part: needed <= set(part))) == needed


def test_a_failing_world_is_reduced_to_fewer_faults() -> None:
    plant = PLANTS["later terms ignored"]
    for seed in range(PLANTED_WORLDS):
        verdict = simulate(seed, strategies=plant.strategies(), theme=plant.theme)
        if verdict.violations and verdict.violations[0].invariant == "I10":
            few = reduced(verdict, plant.strategies(), plant.theme)
            assert len(few.script) <= len(verdict.script)
            assert {fault.kind for fault in few.script} >= {"take over"}
            assert any(one.invariant == "I10" for one in few.violations)
            return
    pytest.fail("no world failed")
