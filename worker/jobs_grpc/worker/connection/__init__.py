"""The wire: the only package of the worker that sees messages of the contract.

`convert` translates, `stream` is one life of the session's stream, `push` the stream of
output, `link` keeps them alive. Nothing here decides about attempts.
"""

from __future__ import annotations

import os

# Before gRPC is imported: its fork handlers cost a warning for every program that a
# function starts, and this process never forks (the keeper is started by exec).
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
# Its C core writes to standard error by itself; a lost stream is no news there.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
