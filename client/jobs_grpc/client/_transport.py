"""One channel, and the manners of every call on it.

Each call carries a request id and the caller's name, has a deadline, and ends either with
an answer or with an exception of the SDK. Calls that may be repeated are, with growing
pauses, until their deadline, once the server has been reached; before that an
unreachable server is said at once. Streams have no deadline (keepalive notices a dead
peer) and are read only by `read()` calls that nothing times out: grpc.aio cancels the
whole call when a read is cancelled.
"""

from __future__ import annotations

import asyncio
import getpass
import uuid
from collections.abc import AsyncGenerator, Callable
from typing import TypeVar, cast

import grpc.aio

from jobs_grpc.client._errors import JobsError, Unavailable
from jobs_grpc.client._failure import from_rpc_error, lost_connection
from jobs_grpc.runtime.backoff import Backoff
from jobs_grpc.wire.channel import CLIENT_OPTIONS
from jobs_grpc.wire.metadata import REQUEST_ID, USER

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


def usual_backoff() -> Backoff:
    """Short at first, for a leader change; never longer than a restart is patient."""
    return Backoff(initial=0.2, cap=3.0)


class Transport:
    """The only holder of the channel."""

    def __init__(
        self,
        address: str,
        *,
        timeout: float,
        retry: bool,
        patience: float,
        backoff: Callable[[], Backoff] = usual_backoff,
    ) -> None:
        self.address = address
        self.timeout = timeout
        self.retry = retry
        self.patience = patience
        self.backoff = backoff
        self.channel = grpc.aio.insecure_channel(address, options=CLIENT_OPTIONS)
        self._user = _user_name()
        # Before that, an unreachable server is an error at once, not an outage.
        self.was_reached = False

    async def close(self) -> None:
        await self.channel.close()

    async def call(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT],
        request: RequestT,
        *,
        timeout: float | None = None,
        repeatable: bool = True,
    ) -> ResponseT:
        """Return the answer; `repeatable` says that asking twice changes nothing more."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (self.timeout if timeout is None else timeout)
        backoff = self.backoff()
        while True:
            try:
                return await self._once(method, request, deadline - loop.time())
            except JobsError as problem:
                if not (repeatable and self.retry and self._may_help(problem)):
                    raise
                # What the server advises, and jitter, so that not all come back at once.
                delay = (problem.retry_after or 0.0) + backoff.next_delay()
                if loop.time() + delay >= deadline:
                    raise
                await asyncio.sleep(delay)

    async def _once(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT],
        request: RequestT,
        timeout: float,
    ) -> ResponseT:
        call = method(request, timeout=timeout, metadata=self._metadata())
        try:
            answer = await call
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, self.address) from error
        except asyncio.CancelledError:
            if _is_ours():
                raise
            raise lost_connection(self.address) from None
        self.was_reached = True
        return answer

    async def stream(
        self,
        method: grpc.aio.UnaryStreamMultiCallable[RequestT, ResponseT],
        request: RequestT,
    ) -> AsyncGenerator[ResponseT, None]:
        """Yield the messages of one stream; use it inside `contextlib.aclosing`."""
        call = method(request, metadata=self._metadata())
        try:
            while True:
                message = await call.read()
                if message is grpc.aio.EOF:
                    return
                self.was_reached = True
                yield cast("ResponseT", message)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, self.address) from error
        except asyncio.CancelledError:
            if _is_ours():
                raise
            raise lost_connection(self.address) from None
        finally:
            # Only between reads, or after the end, where it changes nothing.
            call.cancel()

    def _may_help(self, problem: JobsError) -> bool:
        never_there = isinstance(problem, Unavailable) and not problem.reason
        return problem.retriable and (self.was_reached or not never_there)

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        return ((REQUEST_ID, uuid.uuid4().hex), (USER, self._user))


def _is_ours() -> bool:
    """The task was cancelled here; else grpc.aio reports the server's CANCELLED so."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _user_name() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
    # Metadata values are printable ASCII.
    return "".join(c if " " < c <= "~" else "?" for c in name) or "unknown"
