"""The pure heart: a state machine that is stepped, and does no I/O.

`Core.step(inputs, now)` returns what must be written (`Changes`) and what may be said
once it is written (`effects`). Nothing in this package reads a clock, draws a random
number, waits, or knows a database or a network.
"""

from __future__ import annotations
