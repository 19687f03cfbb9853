"""The way in: one connection to one control plane.

async with Client.connect("127.0.0.1:7420") as client:
    execution = await client.jobs.run("nightly-backup")
    await execution.result()
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from types import TracebackType
from typing import Any, Self

from jobs_grpc.client import _convert
from jobs_grpc.client._backfills import Backfills
from jobs_grpc.client._breakers import Breakers
from jobs_grpc.client._dead_letters import DeadLetters
from jobs_grpc.client._executions import ExecutionHandle, Executions
from jobs_grpc.client._fleet import Queues, Schedules, Workers
from jobs_grpc.client._jobs import Jobs
from jobs_grpc.client._pauses import Pauses
from jobs_grpc.client._settings import DEFAULT_TIMEOUT, from_environment
from jobs_grpc.client._submission import Submission
from jobs_grpc.client._submitter import Submitter
from jobs_grpc.client._transport import Transport, usual_backoff
from jobs_grpc.client.records.execution import Trigger
from jobs_grpc.client.records.server import ServerInfo
from jobs_grpc.runtime.backoff import Backoff
from jobs_grpc.v1.system_service_pb2 import GetInfoRequest
from jobs_grpc.v1.system_service_pb2_grpc import SystemServiceStub

# Longer than any restart or change of leader should take.
DEFAULT_PATIENCE = 300.0


class Client:
    """A connection with defaults for names; it may be shared by any number of tasks.

    `Client.connect` is the usual way to get one; the constructor connects with the first
    call. Must be made and used in one event loop.
    """

    def __init__(
        self,
        addr: str | None = None,
        *,
        namespace: str | None = None,
        workspace: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        patience: float = DEFAULT_PATIENCE,
        retry: bool = True,
        trigger: Trigger = Trigger.API,
        backoff: Callable[[], Backoff] = usual_backoff,
    ) -> None:
        self.target = from_environment(addr, namespace, workspace)
        self._transport = Transport(
            self.target.address,
            timeout=timeout,
            retry=retry,
            patience=patience,
            backoff=backoff,
        )
        self._submitter = Submitter(self._transport, self.target, trigger=trigger)
        self._system = SystemServiceStub(self._transport.channel)
        self.executions = Executions(self._transport, self.target)
        self.jobs = Jobs(self._transport, self.target, self.executions, self._submitter)
        self.dead_letters = DeadLetters(self._transport, self.target)
        self.queues = Queues(self._transport)
        self.breakers = Breakers(self._transport, self.target)
        self.workers = Workers(self._transport)
        self.pauses = Pauses(self._transport, self.target)
        self.schedules = Schedules(self._transport, self.target)
        self.backfills = Backfills(self._transport, self.target)

    @classmethod
    def connect(
        cls,
        addr: str | None = None,
        *,
        namespace: str | None = None,
        workspace: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        patience: float = DEFAULT_PATIENCE,
        retry: bool = True,
        trigger: Trigger = Trigger.API,
        backoff: Callable[[], Backoff] = usual_backoff,
    ) -> Connecting:
        """Connect and see that a control plane answers.

        What is not said comes from `JOBS_GRPC_ADDR`, `JOBS_GRPC_NAMESPACE` and
        `JOBS_GRPC_WORKSPACE`, then from the built-in values. `timeout` is that of each
        call, in seconds; `patience` is how long waiting and following endure a server
        that is away; without `retry` no call is repeated. Use it as
        `async with Client.connect(...)`, or await it and close the client yourself.

        Raises:
            Unavailable: nothing answers at the address, or no control plane does.
        """
        return Connecting(
            lambda: cls(
                addr,
                namespace=namespace,
                workspace=workspace,
                timeout=timeout,
                patience=patience,
                retry=retry,
                trigger=trigger,
                backoff=backoff,
            )
        )

    async def info(self) -> ServerInfo:
        """Return what the server says about itself."""
        answer = await self._transport.call(self._system.GetInfo, GetInfoRequest())
        return _convert.server_info(answer)

    async def submit(
        self, submissions: Iterable[Submission | str], *, workspace: str | None = None
    ) -> list[str]:
        """Create executions, a thousand in a call, and return their ids in order.

        A plain text names a stored job. Each call is one commit; if a later one is
        refused, the executions of earlier ones stand.
        """
        chosen = self.target.workspace_or(workspace)
        return await self._submitter.submit(submissions, chosen)

    async def run(
        self, submission: Submission | str, *, workspace: str | None = None
    ) -> ExecutionHandle:
        """Create one execution and return its handle."""
        ids = await self.submit([submission], workspace=workspace)
        return self.executions.handle(ids[0])

    async def close(self) -> None:
        """End the connection; calls in flight end as `Unavailable`."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


class Connecting:
    """A client to be: await it, or enter it with `async with`."""

    def __init__(self, make: Callable[[], Client]) -> None:
        self._make = make
        self._client: Client | None = None

    def __await__(self) -> Generator[Any, None, Client]:
        return self._connect().__await__()

    async def __aenter__(self) -> Client:
        self._client = await self._connect()
        return self._client

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._client is not None:
            await self._client.close()

    async def _connect(self) -> Client:
        client = self._make()
        try:
            await client.info()
        except BaseException:
            await client.close()
            raise
        return client
