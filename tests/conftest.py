"""What holds for every test process."""

from __future__ import annotations

import os

# Before gRPC is imported, as the programs do it: libuv starts processes with fork(), and gRPC's
# fork handlers beside live streams break the streams, or the child before its exec (SIGSEGV).
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

from hypothesis import settings

# A suite judges a change, not the luck of the day: the same examples each time, however busy
# the machine is. `HYPOTHESIS_PROFILE=search` looks for new ones, without end for patience.
settings.register_profile("suite", derandomize=True, deadline=None, database=None)
settings.register_profile("search", deadline=None, max_examples=1_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))
