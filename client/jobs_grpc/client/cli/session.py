"""One conversation with the server, from a command that is not asynchronous."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from jobs_grpc.client._errors import JobsError, NotFound
from jobs_grpc.client.cli.options import Settings

if TYPE_CHECKING:
    from jobs_grpc.client._client import Client

T = TypeVar("T")


def converse(
    settings: Settings, work: Callable[[Client], Awaitable[T]], *, job: str = ""
) -> T:
    """Return what `work` returns; `job` is the name to find others like, if unknown."""
    # Its own words about lost connections would stand between ours.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    import asyncio

    return asyncio.run(_converse(settings, work, job))


async def _converse(
    settings: Settings, work: Callable[[Client], Awaitable[T]], job: str
) -> T:
    from jobs_grpc.client._client import Client
    from jobs_grpc.client.records.execution import Trigger

    async with Client(
        settings.addr,
        namespace=settings.namespace,
        workspace=settings.workspace,
        timeout=settings.timeout,
        trigger=Trigger.MANUAL,
    ) as client:
        try:
            return await work(client)
        except NotFound as error:
            if job and error.reason == "JOB_NOT_FOUND":
                error.hint = await _others_like(client, job) or error.hint
            raise


async def _others_like(client: Client, name: str) -> str:
    """Return a hint with the job that was probably meant, or nothing."""
    from difflib import get_close_matches

    try:
        jobs = await client.jobs.list(workspace="")
    except JobsError:
        return ""
    homes = [job for job in jobs if job.name == name]
    if homes:
        return f"there is one in another workspace: --workspace {homes[0].workspace}"
    near = get_close_matches(name, {job.name for job in jobs}, n=1)
    return f'did you mean "{near[0]}"?' if near else ""
