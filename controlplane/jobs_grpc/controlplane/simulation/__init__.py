"""A day of jobs on virtual time: the real core, and a worker that only keeps time.

    loading ──► Simulation (core.step, from event to event) ──► Outcome ──► text, SVG, JSON

Nothing here waits, listens or stores: what the core would commit is dropped, and what it
would send goes to the virtual worker. So the decisions are those that a server would make,
and a day takes as long as its decisions take to compute.
"""

from __future__ import annotations
