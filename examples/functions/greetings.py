"""Two functions that jobs may call.

    jobs-grpc worker --functions examples/functions/greetings.py

A job file then needs no more than `{"name": "hello", "function": "greet", "params": …}`.
"""

from __future__ import annotations

import asyncio

from jobs_grpc.worker import Context, function


@function
def greet(name: str = "world") -> dict[str, str]:
    """Say hello. A plain function runs in a thread; what it prints is the job's output."""
    greeting = f"Hello, {name}!"
    print(greeting)
    return {"greeting": greeting}


@function
async def countdown(ctx: Context, start: int = 5, seconds: float = 1.0) -> str:
    """Count down and say how far it is. A coroutine runs in the worker's loop."""
    # Without declared types, params arrive as the text that was typed.
    start, seconds = int(start), float(seconds)
    for number in range(start, 0, -1):
        print(f"{number} …")
        ctx.progress(start - number, total=start, message=f"at {number}")
        await asyncio.sleep(seconds)
    ctx.log("lift-off")
    return "lift-off"
