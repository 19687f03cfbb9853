"""Changes that are computed here from what stands, outside of the core.

The core refuses such a change with `RevisionMismatchError` if what it was computed from
stands no longer. That is no news for the caller: it is computed again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from jobs_grpc.controlplane.core.state.errors import RevisionMismatchError
from jobs_grpc.controlplane.core.state.inputs import Input
from jobs_grpc.controlplane.leader.leader import Leader

# Who is beaten to it so often meets more than bad luck.
_TRIES: Final = 10


async def submitted(leader: Leader, make: Callable[[], Awaitable[Input]]) -> object:
    """Make a change and hand it in, anew whenever somebody else was faster."""
    for _ in range(_TRIES - 1):
        change = await make()
        try:
            return await leader.submit(change)
        except RevisionMismatchError:
            continue
    return await leader.submit(await make())
