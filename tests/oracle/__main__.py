"""`make oracle`: the whole comparison; `EXPRESSIONS`, `SEED` and `WORKERS` change it."""

from __future__ import annotations

import os
import random
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from .comparing import Tally, compare_all
from .expressions import random_expression
from .walking import ZONES, walks

CHUNK = 25


def compare_chunk(seed: str, count: int) -> Tally:
    """Compare the expressions that a seed draws."""
    source = random.Random(seed)
    tally = Tally()
    for _ in range(count):
        compare_all(random_expression(source), source, tally)
    return tally


def main() -> int:
    """Compare, print what was found; return 1 if a difference is unexplained."""
    count = int(os.environ.get("EXPRESSIONS", "5000"))
    seed = os.environ.get("SEED", "20260308")
    workers = int(os.environ.get("WORKERS", "2"))
    begun = time.monotonic()
    changes = sum(len(walks(zone)) for zone in ZONES)
    print(f"{count} expressions, {len(ZONES)} zones, {changes} changes, seed {seed}")
    total = Tally()
    with ProcessPoolExecutor(workers) as pool:
        chunks = [
            pool.submit(compare_chunk, f"{seed} {index}", min(CHUNK, count - index))
            for index in range(0, count, CHUNK)
        ]
        for chunk in chunks:
            total.add(chunk.result())
            print(f"\r{total.expressions}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print(f"pairs of expression and change: {total.pairs}")
    print(f"due times: {total.due_times}")
    print(f"pairs that cronsim was asked about: {total.with_cronsim}")
    print(f"expressions that are never due, and refused: {total.refused}")
    for why, times in total.explained.most_common():
        print(f"explained, {times} times: {why}")
    ours = [one for one in total.unexplained if one.startswith("ours")]
    print(f"unexplained: {len(total.unexplained)}, of ours: {len(ours)}")
    for one in [*ours[:25], *total.unexplained[:50]]:
        print(f"  {one}")
    print(f"{time.monotonic() - begun:.0f} s")
    return 1 if total.unexplained or total.expressions != count else 0


if __name__ == "__main__":
    sys.exit(main())
