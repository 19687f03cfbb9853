"""Which execution a word on the command line means.

A word is the name of a job first: its latest execution. Only a word that names no job,
and could be an id, is taken for one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from jobs_grpc.client._errors import NotFound

if TYPE_CHECKING:
    from jobs_grpc.client._client import Client
    from jobs_grpc.client.records.execution import Execution

# What the server takes for a prefix of an id: a UUID's own characters, at least four.
_PREFIX: Final = re.compile(r"[0-9a-f][0-9a-f-]{3,35}", re.IGNORECASE)
_WHOLE_LENGTH: Final = 36


def could_be_id(word: str) -> bool:
    return _PREFIX.fullmatch(word) is not None


async def find_execution(client: Client, word: str) -> Execution:
    """Return the execution that is meant; raises `NotFound` if there is none."""
    if could_be_id(word) and len(word) == _WHOLE_LENGTH:
        return await client.executions.get(word)
    latest = await _latest_of_job(client, word)
    if latest is not None:
        return latest
    if could_be_id(word):
        try:
            return await client.executions.get(word)
        except NotFound:
            pass
    # The server's own words if there is no such job.
    await client.jobs.get(word)
    raise NotFound(
        f'job "{word}" has not run yet',
        reason="EXECUTION_NOT_FOUND",
        hint=f"run it with: jobs-grpc run {word}",
    )


async def _latest_of_job(client: Client, name: str) -> Execution | None:
    try:
        found = await client.executions.list(job=name, limit=1)
    except NotFound:
        return None
    return found[0] if found else None
