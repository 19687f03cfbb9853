"""The product's pure parts in a virtual world that one number decides.

A **seed** makes a world: a leader (the real core, journal, outboxes and loading over a
store in memory), hosts (the real session, registry, trust window, restoring and shipping of
the worker over small models of its disk, its keeper and its processes), clients, a network,
and a **script** of faults. Nothing in it reads a clock, sleeps, or draws from anything but
generators that follow from the seed, so equal seeds make equal traces.

What happened is judged by the **witness**, which stands outside: virtual processes tell it
themselves when they begin and end, and what they print. See `witness` for the invariants.

    make simulate                 2,000 worlds
    make simulate SEEDS=100 FROM=7
    PYTHONPATH=tests python -m simulation --seed 4711     one world, with its trace

| module | what it is |
|---|---|
| `kernel` | events in order, processes that are killed and frozen, clocks |
| `wire` | streams that delay, stall, break on each side at a time of its own |
| `keeping` | the store: slow, full, ambiguous commits |
| `reign` | the leader process: stepper and committer of the real journal |
| `host`, `keeper`, `daemon` | a worker's host: disk, keeper, session process |
| `people` | clients that submit, retry, cancel, change definitions |
| `faults` | the script: made from a seed, cut down when it fails |
| `witness` | what was seen, and the invariants |
| `plants` | bugs put in on purpose, to see that they are found |
"""

from __future__ import annotations
