"""Reading from a call and writing to it, and telling its end from our own.

gRPC has two ways to mislead the task that awaits it (measured, grpcio 1.85):

- A call that the *other side* cancels raises `CancelledError`, as if this task were to
  end. Taken at its word, a restarting leader would end this worker's connection for
  good.
- While a call is being prepared, a cancellation of *this task* is swallowed: the read
  goes on and ends with the status of the call. Taken at its word, a task that should end
  opens the next call, and whoever waits for its end waits for ever.

The task itself knows better: it counts the requests to cancel it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, TypeVar

from grpc import aio

from jobs_grpc.wire.refusal import from_error

Message = TypeVar("Message")


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """The call is over, for this reason."""

    reason: str


async def read(
    call: aio.StreamStreamCall[Any, Message], kind: type[Message]
) -> Message | StreamEnd:
    """Return the next message, or how the call ended. Only one task may read a call."""
    try:
        message = await call.read()
    except aio.AioRpcError as error:
        end = StreamEnd(_words(error))
    except asyncio.CancelledError:
        if _is_to_end():
            raise
        return StreamEnd("the call was cancelled")
    else:
        if isinstance(message, kind):
            return message
        end = StreamEnd("it was closed")
    if _is_to_end():
        raise asyncio.CancelledError
    return end


async def write(call: aio.StreamStreamCall[Message, Any], message: Message) -> bool:
    """Write a message; False when the call is over, and the reader learns why.

    Only one task may write to a call.
    """
    try:
        await call.write(message)
    except (aio.AioRpcError, aio.UsageError, asyncio.InvalidStateError):
        return False
    except asyncio.CancelledError:
        if _is_to_end():
            raise
        return False
    return True


def _is_to_end() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _words(error: aio.AioRpcError) -> str:
    refusal = from_error(error)
    return f"{refusal.message} ({refusal.hint})" if refusal.hint else refusal.message
