"""Python functions as jobs: registered by `@function`, run inside the session process.

Coroutines run in the daemon's loop, plain functions in threads. What they print lands
in the output of their attempt.
"""

from __future__ import annotations
