from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from jobs_grpc.runtime.clock import SystemClock
from jobs_grpc.worker import Context
from jobs_grpc.worker.attempts.attempt import Attempt
from jobs_grpc.worker.attempts.table import State
from jobs_grpc.worker.functions.capture import captured_prints
from jobs_grpc.worker.functions.catalogue import load
from jobs_grpc.worker.functions.run import RESULT_LIMIT
from jobs_grpc.worker.functions.runner import FunctionRunner
from jobs_grpc.worker.keeper.spool import (
    Stream,
)
from jobs_grpc.worker.keeper.spool_reader import (
    SpoolReader,
)
from jobs_grpc.worker.work import FunctionCall, Outcome, Result
from unit.worker.stand_ins import RecordingListener, UnshippedOutputs, a_lease


class Stage:
    """A runner of functions and what it tells."""

    def __init__(self, directory: Path) -> None:
        self.listener = RecordingListener()
        self.outputs = UnshippedOutputs()
        self.directory = directory
        self.fences = 0
        self.attempts: dict[int, Attempt] = {}
        self.runner = self._runner([])

    def _runner(self, functions: list[Callable[..., Any]]) -> FunctionRunner:
        runner = FunctionRunner(
            catalogue=load([], functions),
            directory=self.directory,
            slots=50,
            clock=SystemClock(),
            outputs=self.outputs,
        )
        runner.listener = self.listener
        return runner

    def knows(self, *functions: Callable[..., Any]) -> None:
        self.runner = self._runner(list(functions))

    def begin(self, name: str, arguments_json: str = "", **fields: Any) -> int:
        self.fences += 1
        call = FunctionCall(name, arguments_json)
        attempt = Attempt.of_lease(a_lease(self.fences, call=call, **fields))
        attempt.state = State.STARTING
        attempt.started_at = SystemClock().now()
        self.attempts[self.fences] = attempt
        self.runner.begin(attempt)
        return self.fences

    async def end_of(self, fence: int) -> Result:
        async with asyncio.timeout(10):
            while fence not in self.listener.results:
                self.listener.heard.clear()
                await self.listener.heard.wait()
        return self.listener.results[fence]

    async def call(
        self, target: Callable[..., Any], *args: Any, **fields: Any
    ) -> Result:
        self.knows(target)
        # Not in a fixture: pytest puts its own streams in place before every test.
        with captured_prints():
            return await self.end_of(self.begin(target.__name__, *args, **fields))

    def cancel(self, fence: int, reason: str = "by alice") -> None:
        self.attempts[fence].stop_reason = reason
        self.runner.cancel(self.attempts[fence])

    def output(self, fence: int) -> list[tuple[Stream, bytes]]:
        reader = SpoolReader(self.runner.spool(fence))
        try:
            return [(frame.stream, frame.payload) for frame in reader]
        finally:
            reader.close()


@pytest_asyncio.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    made = Stage(tmp_path / "functions")
    yield made
    await made.runner.stop(0.1)


async def test_a_coroutine_and_a_plain_function_return_json(stage: Stage) -> None:
    async def coroutine(a: int) -> dict[str, int]:
        await asyncio.sleep(0)
        return {"a": a}

    def plain(a: int) -> list[str]:
        return [threading.current_thread().name.split("-")[0], str(a)]

    one = await stage.call(coroutine, '{"a": 1}')
    assert (one.outcome, one.result_json) == (Outcome.SUCCEEDED, '{"a": 1}')
    two = await stage.call(plain, '{"a": 2}')
    assert (two.outcome, two.result_json) == (Outcome.SUCCEEDED, '["function", "2"]')


async def test_nothing_is_made_on_disk_for_a_function_that_prints_nothing(
    stage: Stage,
) -> None:
    async def silent() -> None: ...

    result = await stage.call(silent)
    assert (result.result_json, result.output_bytes) == ("null", 0)
    assert not stage.directory.exists()
    assert not stage.outputs.fences


async def test_what_is_printed_lands_in_the_output_of_its_own_attempt(
    stage: Stage,
) -> None:
    all_have_begun = asyncio.Barrier(3)

    async def coroutine(name: str) -> None:
        print(name)
        await all_have_begun.wait()
        print("err", file=sys.stderr)
        sys.stdout.buffer.write(b"\xff raw")
        await asyncio.to_thread(print, "\nfrom a thread")
        print("end", end="")

    stage.knows(coroutine)
    with captured_prints():
        fences = [stage.begin("coroutine", f'{{"name": "n{i}"}}') for i in range(3)]
        results = [await stage.end_of(fence) for fence in fences]
    for number, (fence, result) in enumerate(zip(fences, results, strict=True)):
        output = stage.output(fence)
        stdout = b"".join(data for stream, data in output if stream is Stream.STDOUT)
        stderr = b"".join(data for stream, data in output if stream is Stream.STDERR)
        assert stdout == b"n%d\n\xff raw\nfrom a thread\nend" % number
        assert stderr == b"err\n"
        assert result.output_bytes == len(stdout + stderr)
        assert fence in stage.outputs.fences


async def test_a_plain_function_prints_from_its_thread(stage: Stage) -> None:
    def plain(ctx: Context) -> None:
        print("a\nb", end="")
        ctx.log("c")
        print("kept", flush=True)

    await stage.call(plain)
    assert b"".join(data for _, data in stage.output(1)) == b"a\nbc\nkept\n"


async def test_output_has_a_limit_and_says_so(stage: Stage) -> None:
    async def chatty() -> None:
        for _ in range(100):
            print("x" * 99)

    result = await stage.call(chatty, output_limit=1000)
    kept = [data for stream, data in stage.output(1) if stream is Stream.STDOUT]
    assert len(b"".join(kept)) >= 1000
    assert kept[0].startswith(b"x" * 99 + b"\n")
    assert result.output_dropped == 9000
    assert stage.output(1)[-1][0] is Stream.SYSTEM


async def test_an_exception_is_a_failure_with_its_trace_in_the_output(
    stage: Stage,
) -> None:
    def deeper() -> None:
        raise ValueError("bad\nvalue")

    async def coroutine() -> None:
        print("before", end="")
        deeper()

    def plain() -> None:
        deeper()

    for target in (coroutine, plain):
        result = await stage.call(target)
        assert (result.outcome, result.error) == (
            Outcome.FAILED,
            "ValueError: bad value",
        )
        trace = b"".join(
            data
            for stream, data in stage.output(stage.fences)
            if stream is Stream.STDERR
        ).decode()
        assert "ValueError: bad\nvalue" in trace
        assert trace.index(f"in {target.__name__}") < trace.index("in deeper")
        assert "worker/functions" not in trace


async def test_a_function_cannot_end_the_worker(stage: Stage) -> None:
    async def leaves() -> None:
        sys.exit("gone")

    def leaves_too() -> None:
        raise KeyboardInterrupt

    assert (await stage.call(leaves)).error == "SystemExit: gone"
    assert (await stage.call(leaves_too)).error == "KeyboardInterrupt"


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


async def test_an_error_without_words_is_an_error_still(stage: Stage) -> None:
    async def fails() -> None:
        raise UnprintableError

    assert (await stage.call(fails)).error == "UnprintableError"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({1, 2}, "Object of type set is not JSON serializable"),
        (float("nan"), "Out of range float values are not JSON compliant"),
        ("x" * RESULT_LIMIT, f"at most {RESULT_LIMIT} are kept"),
    ],
)
async def test_a_result_must_be_json_of_bounded_size(
    stage: Stage, value: object, problem: str
) -> None:
    async def returns() -> object:
        return value

    result = await stage.call(returns)
    assert result.outcome is Outcome.FAILED
    assert result.error.startswith("the result of returns: ")
    assert problem in result.error


async def test_unknown_functions_and_wrong_arguments_fail_with_a_sentence(
    stage: Stage,
) -> None:
    async def known(a: int) -> None: ...

    stage.knows(known)
    unknown = await stage.end_of(stage.begin("unknown"))
    assert unknown.error == "unknown function 'unknown'; this worker knows known"
    wrong = await stage.end_of(stage.begin("known", '{"b": 1}'))
    assert wrong.error == "known has no argument 'b'; it takes a"
    assert {unknown.outcome, wrong.outcome} == {Outcome.FAILED}


async def test_a_coroutine_that_takes_too_long_is_cancelled(stage: Stage) -> None:
    cleaned = []

    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cleaned.append(True)

    result = await stage.call(slow, timeout_seconds=0.05)
    assert (result.outcome, result.error) == (
        Outcome.TIMED_OUT,
        "timed out after 0.05s",
    )
    assert cleaned


async def test_a_longer_timeout_is_armed_by_the_sweep(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs_grpc.worker.functions.runner.SWEEP_SECONDS", 0.01)

    async def slow() -> None:
        await asyncio.sleep(60)

    began = time.monotonic()
    result = await stage.call(slow, timeout_seconds=0.2)
    assert result.outcome is Outcome.TIMED_OUT
    assert 0.19 < time.monotonic() - began < 2


async def test_a_plain_function_with_a_context_notices_its_end(stage: Stage) -> None:
    def loops(ctx: Context) -> None:
        while True:
            ctx.raise_if_cancelled()
            time.sleep(0.001)

    result = await stage.call(loops, timeout_seconds=0.05)
    assert (result.outcome, result.error) == (
        Outcome.TIMED_OUT,
        "timed out after 0.05s",
    )


async def test_a_thread_that_cannot_be_ended_is_given_up_and_says_so(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    free = threading.Event()

    def stuck() -> None:
        free.wait(10)

    result = await stage.call(stuck, timeout_seconds=0.05)
    assert result.outcome is Outcome.TIMED_OUT
    assert "its thread goes on" in result.error
    assert "its thread goes on" in caplog.text
    free.set()


async def test_a_coroutine_that_refuses_to_end_is_given_up_after_its_grace(
    stage: Stage,
) -> None:
    begun, free, over = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def stubborn() -> None:
        begun.set()
        while not free.is_set():
            try:
                await free.wait()
            except asyncio.CancelledError:
                continue
        over.set()

    stage.knows(stubborn)
    fence = stage.begin("stubborn", grace_seconds=0.05)
    await begun.wait()
    stage.cancel(fence)
    result = await stage.end_of(fence)
    assert result.outcome is Outcome.CANCELLED
    assert result.error == "by alice; it goes on, for it ignored its cancellation"
    free.set()
    await over.wait()


@pytest.mark.parametrize("waits_before", [False, True])
async def test_a_cancelled_coroutine_is_cancelled_even_before_its_first_step(
    stage: Stage, waits_before: bool
) -> None:
    async def slow() -> None:
        await asyncio.sleep(60)

    stage.knows(slow)
    fence = stage.begin("slow")
    if waits_before:
        await asyncio.sleep(0.01)
    stage.cancel(fence)
    stage.cancel(fence, "again")
    result = await stage.end_of(fence)
    assert result.outcome is Outcome.CANCELLED


async def test_a_plain_function_that_was_cancelled_in_the_queue_never_runs(
    stage: Stage,
) -> None:
    ran = []
    gate = threading.Event()

    def waits() -> None:
        gate.wait(10)

    def marks() -> None:
        ran.append(True)

    stage.knows(waits, marks)
    first, second = stage.begin("waits"), stage.begin("marks")
    stage.cancel(second)
    assert (await stage.end_of(second)).error == "by alice"
    gate.set()
    await stage.end_of(first)
    await asyncio.sleep(0.02)
    assert ran == []


async def test_many_plain_functions_that_wait_run_at_the_same_time(
    stage: Stage,
) -> None:
    barrier = threading.Barrier(20)

    def meets() -> int:
        return barrier.wait(10)

    stage.knows(meets)
    fences = [stage.begin("meets") for _ in range(20)]
    results = [await stage.end_of(fence) for fence in fences]
    assert {result.outcome for result in results} == {Outcome.SUCCEEDED}


async def test_many_quick_plain_functions_share_few_threads(stage: Stage) -> None:
    names = set()

    def quick() -> None:
        names.add(threading.get_ident())

    stage.knows(quick)
    for fence in [stage.begin("quick") for _ in range(2000)]:
        await stage.end_of(fence)
    assert len(names) < 20


async def test_progress_is_told_at_once_and_then_now_and_then(stage: Stage) -> None:
    async def works(ctx: Context) -> None:
        for number in range(200):
            ctx.progress(number, total=200, message=str(number))
            await asyncio.sleep(0.001)

    await stage.call(works)
    told = stage.listener.progress
    assert told[0].message == "0"
    assert 2 <= len(told) <= 40
    assert [one.fraction for one in told] == sorted(one.fraction for one in told)


async def test_a_context_names_its_attempt(stage: Stage) -> None:
    async def knows(ctx: Context, a: str) -> list[object]:
        assert ctx.scheduled_for is not None
        return [
            ctx.execution_id,
            ctx.attempt,
            ctx.fence,
            ctx.scheduled_for.isoformat(),
            dict(ctx.params),
        ]

    result = await stage.call(
        knows, params={"a": "b"}, scheduled_for=1_000_000, attempt=3
    )
    assert result.result_json == (
        '["execution-1", 3, 1, "1970-01-01T00:00:01+00:00", {"a": "b"}]'
    )


async def test_a_worker_that_stops_loses_what_does_not_come_to_an_end(
    stage: Stage,
) -> None:
    free = threading.Event()

    async def slow() -> None:
        await asyncio.sleep(60)

    async def finishes() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "rounded off"
        return ""

    def stuck() -> None:
        free.wait(10)

    stage.knows(slow, finishes, stuck)
    fences = [stage.begin(name) for name in ("slow", "finishes", "stuck")]
    await asyncio.sleep(0.01)
    await stage.runner.stop(0.1)
    free.set()
    one, two, three = (stage.listener.results[fence] for fence in fences)
    assert one.outcome is three.outcome is Outcome.LOST
    assert one.error == "the worker program ended while the function ran"
    assert (two.outcome, two.result_json) == (Outcome.SUCCEEDED, '"rounded off"')


def test_prints_outside_of_an_attempt_go_where_they_went(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with captured_prints():
        print("plain")
        sys.stdout.buffer.write(b"bytes\n")
        sys.stdout.flush()
        print("error", file=sys.stderr)
        assert not sys.stdout.isatty()
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("plain\nbytes\n", "error\n")
