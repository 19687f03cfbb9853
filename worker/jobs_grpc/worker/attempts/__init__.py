"""The attempts this worker holds: their table of states, their registry, their reports.

Nothing in here knows gRPC, processes or functions.
"""

from __future__ import annotations
