"""Functions, from the lease to the acknowledged result."""

from __future__ import annotations

import asyncio
import sys
import threading
import time

from integration.worker.host import Host
from jobs_grpc.v1 import worker_service_pb2 as wire
from jobs_grpc.worker import Context
from support.fake_leader import FakeLeader, seconds

GATE = threading.Event()


async def greet(ctx: Context, name: str) -> dict[str, str]:
    print(f"greeting {name}")
    print("to err", file=sys.stderr)
    ctx.progress(1, total=2, message="half")
    await asyncio.sleep(0.02)
    return {"hello": name}


def add(a: int, b: int = 1) -> int:
    print(f"{a} + {b}")
    return a + b


async def fails() -> None:
    raise ValueError("bad value")


async def waits(ctx: Context) -> None:
    print("waiting", flush=True)
    await asyncio.sleep(60)


def stuck() -> None:
    GATE.wait(10)


def loops(ctx: Context) -> None:
    while True:
        ctx.raise_if_cancelled()
        time.sleep(0.002)


async def test_functions_return_print_and_progress(
    leader: FakeLeader, host: Host
) -> None:
    await host.start(greet, add)
    one = leader.function("greet", '{"name": "you"}')
    two = leader.function("add", work={"params": {"a": "x", "b": "y"}})
    three = leader.function("add", '{"a": 41}')
    end = await leader.end_of(one)
    assert end.outcome == wire.ATTEMPT_OUTCOME_SUCCEEDED
    assert end.result_json == '{"hello": "you"}'
    assert leader.log(one).stdout == "greeting you\n"
    assert leader.log(one).stderr == "to err\n"
    (progress,) = [r for r in leader.reports if r.WhichOneof("report") == "progress"]
    assert (progress.progress.fraction, progress.progress.message) == (0.5, "half")
    assert leader.kinds(one)[0] == "started"
    assert (await leader.end_of(two)).result_json == '"xy"'
    assert (await leader.end_of(three)).result_json == "42"
    assert leader.log(three).stdout == "41 + 1\n"


async def test_functions_fail_with_a_sentence_and_a_trace(
    leader: FakeLeader, host: Host
) -> None:
    await host.start(fails)
    fence = leader.function("fails")
    end = await leader.end_of(fence)
    assert (end.outcome, end.error) == (
        wire.ATTEMPT_OUTCOME_FAILED,
        "ValueError: bad value",
    )
    assert "Traceback" in leader.log(fence).stderr
    assert "in fails" in leader.log(fence).stderr
    unknown = await leader.end_of(leader.function("fial"))
    assert unknown.error == "unknown function 'fial'; this worker knows fails"


async def test_functions_time_out_and_are_cancelled(
    leader: FakeLeader, host: Host
) -> None:
    await host.start(waits, loops, stuck)
    late = leader.function("waits", timeout=seconds(0.1))
    cancelled = leader.function("waits", delivery=wire.DELIVERY_AT_MOST_ONCE)
    noticing = leader.function("loops")
    given_up = leader.function("stuck", timeout=seconds(0.1))
    await leader.until(lambda: leader.log(cancelled).stdout == "waiting\n")
    leader.cancel(cancelled)
    leader.cancel(noticing)
    end = await leader.end_of(late)
    assert (end.outcome, end.error) == (
        wire.ATTEMPT_OUTCOME_TIMED_OUT,
        "timed out after 0.1s",
    )
    for fence in (cancelled, noticing):
        end = await leader.end_of(fence)
        assert (end.outcome, end.error) == (
            wire.ATTEMPT_OUTCOME_CANCELLED,
            "requested by a test",
        )
    assert "its thread goes on" in (await leader.end_of(given_up)).error
    GATE.set()


async def test_a_thousand_functions_take_few_messages(
    leader: FakeLeader, host: Host
) -> None:
    await host.start(add, slots=200)
    leases = wire.Leases(
        leases=[
            leader.make_lease(
                wire.Work(
                    function=wire.FunctionWork(name="add", arguments_json='{"a": 1}')
                )
            )
            for _ in range(1000)
        ]
    )
    leader.send(wire.LeaderMessage(leases=leases))
    await leader.until(lambda: len(leader.finished) == 1000)
    assert {end.result_json for end in leader.finished.values()} == {"2"}
    assert len(leader.batches) < 300
