"""Run a command on a worker, print what it writes, and end as it ended.

Start a server and a worker first: `jobs-grpc dev`. Then:

    python examples/sdk/submit_and_follow.py
    python examples/sdk/submit_and_follow.py sh -c 'echo to stderr >&2; exit 3'
"""

from __future__ import annotations

import asyncio
import sys

from jobs_grpc.client import (
    Client,
    Gap,
    JobsError,
    OutputEnd,
    OutputPiece,
    OutputStream,
    Submission,
)

USUAL = ["sh", "-c", "for i in 1 2 3; do echo step $i; sleep 1; done"]


async def main(command: list[str]) -> int:
    """Return the exit code of the command."""
    # Where the server is comes from JOBS_GRPC_ADDR, else 127.0.0.1:7420.
    async with Client.connect() as client:
        submission = Submission.command(command, name="submit-and-follow", timeout="5m")
        execution = await client.run(submission)
        print(f"execution {execution.id}", file=sys.stderr)
        async for event in execution.output():
            match event:
                case OutputPiece(stream=OutputStream.STDOUT, data=data):
                    sys.stdout.buffer.write(data)
                    sys.stdout.flush()
                case OutputPiece(data=data):
                    sys.stderr.buffer.write(data)
                    sys.stderr.flush()
                case Gap(length=length):
                    print(f"({length} bytes missing)", file=sys.stderr)
                case OutputEnd(execution=ended):
                    print(f"{ended.state} after {ended.duration}", file=sys.stderr)
                    return ended.exit_code or 0
    return 1


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main(sys.argv[1:] or USUAL)))
    except JobsError as error:
        sys.exit(f"{error}\n{error.hint}")
