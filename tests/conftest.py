"""What holds for every test process."""

from __future__ import annotations

import os

# Before gRPC is imported, as the programs do it: libuv starts processes with fork(), and gRPC's
# fork handlers beside live streams break the streams, or the child before its exec (SIGSEGV).
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
