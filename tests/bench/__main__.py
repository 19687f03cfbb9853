"""`make bench`: every goal, or those named: `python -m bench P1 P10`."""

from __future__ import annotations

import sys
from importlib import import_module

from .table import Row, keep, show

GOALS = ("P1", "P2", "P3", "P4", "P5", "P6", "P7", "P9", "P10", "P12")


def main() -> int:
    """Measure, print the table, keep the rounds; return 1 if a goal was missed."""
    wanted = [one.upper() for one in sys.argv[1:]] or list(GOALS)
    rows: list[Row] = []
    for goal in wanted:
        print(f"measuring {goal} …", file=sys.stderr)
        rows += import_module(f"bench.{goal.lower()}").run()
    print(show(rows))
    print(f"rounds: {keep(rows)}")
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
