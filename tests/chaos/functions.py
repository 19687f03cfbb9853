"""A function that witnesses itself, for the load."""

from __future__ import annotations

import asyncio
import os
import time

from jobs_grpc.worker import Context, function


@function
async def witnessed(ctx: Context, witness: str) -> None:
    """Say when it began and when it ended."""

    def say(event: str) -> None:
        line = (
            f"{event} {ctx.execution_id} {ctx.attempt} {ctx.fence} {os.getpid()}"
            f" {time.time():.6f}\n"
        )
        with open(witness, "a") as file:
            file.write(line)

    say("start")
    await asyncio.sleep(0.05)
    say("end")
