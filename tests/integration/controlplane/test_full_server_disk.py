"""A server whose disk fills up while a real worker works: what was acknowledged is there."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from jobs_grpc.v1 import execution_service_pb2 as pb
from support.calls import Calls
from support.server_process import environment, serving
from support.small_disk import fill, small_disk
from support.until import until

LINES = 3_000
PRINTS = {
    "name": "prints",
    "delivery": "at_least_once",
    "script": f"""#!/bin/sh
for n in $(seq 1 {LINES}); do
  echo "line $n of a job that does not care"
  echo "$n" >> "$1/witness"
  [ $((n % 10)) -eq 0 ] && sleep 0.01
done
""",
}


async def stored(calls: Calls, id_: str) -> bytes:
    """Return the output that the server has."""
    data = b""
    request = pb.FollowOutputRequest(execution_id=id_, follow=False)
    async for message in calls.executions.FollowOutput(request):
        assert message.WhichOneof("event") != "gap"
        data += message.piece.data
    return data


async def test_a_job_runs_through_a_full_server_disk_with_all_its_output(
    tmp_path: Path,
) -> None:
    script = str(PRINTS["script"]).replace("$1", str(tmp_path))
    with (
        small_disk(tmp_path / "disk", size="8m") as disk,
        serving(disk / "data") as server,
    ):
        calls = server.calls()
        worker = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "jobs_grpc.worker", "--addr", server.address),
            *("--data", str(tmp_path / "worker"), "--ephemeral", "--slots", "2"),
            stderr=asyncio.subprocess.DEVNULL,
            env=environment(),
        )
        try:
            await until(calls.is_serving)
            await calls.apply({**PRINTS, "script": script})
            accepted = [await calls.run("prints")]

            async def has_begun() -> bool:
                return len(await stored(calls, accepted[0])) > 1_000

            await until(has_begun)
            ballast = fill(disk)

            async def is_serving_not() -> bool:
                return not await calls.is_serving()

            await until(is_serving_not, seconds=60)
            before = await stored(calls, accepted[0])
            witness = tmp_path / "witness"
            seen = witness.stat().st_size
            await until(lambda: witness.stat().st_size > seen)
            assert await calls.state(accepted[0]) == "running", "reads are served"
            ballast.unlink()
            await until(calls.is_serving, seconds=60)
            accepted.append(await calls.run("prints"))
            for id_ in accepted:

                async def has_ended(id_: str = id_) -> bool:
                    return await calls.state(id_) == "succeeded"

                await until(has_ended, seconds=60)
            whole = b"".join(
                b"line %d of a job that does not care\n" % n
                for n in range(1, LINES + 1)
            )
            assert await stored(calls, accepted[0]) == whole
            assert whole.startswith(before), "what was acknowledged stayed"
            # Each ran once, although the server was away for a while.
            assert witness.read_text().split().count(str(LINES)) == 2
            assert worker.returncode is None
            assert server.process.poll() is None, "no restart"
        finally:
            worker.terminate()
            await worker.wait()
            await calls.close()
