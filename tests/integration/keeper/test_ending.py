"""Cancel, timeout, leftovers: the whole tree ends, and the receipt says how."""

from __future__ import annotations

import os
import signal
import time

import pytest

from integration.keeper.house import House, is_alive, until, until_state
from jobs_grpc.worker.keeper.processes.tree import look
from jobs_grpc.worker.keeper.protocol import Started
from jobs_grpc.worker.keeper.record import ExitRecord, Outcome
from jobs_grpc.worker.keeper.spool import (
    Stream,
)
from jobs_grpc.worker.keeper_link import KeeperRefusedError

# One in the group, one in a session of its own, one that is orphaned at once, and one
# that has neither marker nor group.
CROWD = (
    "sleep 1000 & setsid sleep 1000 & (setsid sleep 1000 &)"
    " ; env -i setsid sleep 1000 & "
)
STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.05; done"


def signals(record: ExitRecord) -> list[str]:
    return [sent.signal for sent in record.receipt.signals]


async def test_a_timeout_ends_the_whole_tree(house: House) -> None:
    link = await house.open()
    began = time.monotonic()
    record = await house.run(link, house.script(CROWD + "wait", timeout_seconds=0.4))
    assert 0.4 <= time.monotonic() - began < 3.4
    assert record.outcome is Outcome.TIMED_OUT
    assert (record.exit_code, record.signal) == (None, "TERM")
    assert signals(record) == ["TERM"]
    assert record.receipt.signals[0].processes >= 5
    assert record.receipt.survivors == ()
    assert house.processes(record.fence) == []


async def test_a_job_that_prints_nothing_for_too_long_is_ended(house: House) -> None:
    link = await house.open()
    request = house.script("echo hello; sleep 1000", silence_seconds=0.4)
    record = await house.run(link, request)
    assert record.outcome is Outcome.TIMED_OUT
    assert record.reason == "no output for 0.4s (timeouts.silence)"
    assert signals(record) == ["TERM"]
    assert house.output(request.fence, Stream.STDOUT) == b"hello\n"


async def test_a_job_that_goes_on_printing_is_not_silent(house: House) -> None:
    link = await house.open()
    text = "for i in 1 2 3 4 5 6 7 8; do echo $i >&2; sleep 0.25; done"
    record = await house.run(link, house.script(text, silence_seconds=1.5))
    assert (record.outcome, record.exit_code) == (Outcome.EXITED, 0)


async def test_the_limit_that_comes_first_is_the_one_that_counts(house: House) -> None:
    link = await house.open()
    request = house.script("sleep 1000", silence_seconds=60.0, timeout_seconds=0.3)
    record = await house.run(link, request)
    assert (record.outcome, record.reason) == (Outcome.TIMED_OUT, "timeout")


async def test_a_job_that_heeds_the_signal_ends_at_once_with_its_own_code(
    house: House,
) -> None:
    link = await house.open()
    text = "trap 'echo bye; exit 9' TERM; echo ready; while :; do sleep 0.02; done"
    request = house.script(text, grace_seconds=60.0)
    await link.start(request)
    await house.until_output(link, request.fence, b"ready")
    status = await link.cancel(request.fence, "a user said so")
    assert status.state == "ending"
    record = await house.end_of(link, request.fence)
    assert (record.outcome, record.reason) == (Outcome.CANCELLED, "a user said so")
    assert record.exit_code == 9
    assert house.output(request.fence, Stream.STDOUT) == b"ready\nbye\n"


async def test_a_job_that_ignores_the_signal_is_killed_after_the_grace(
    house: House,
) -> None:
    link = await house.open()
    request = house.script(STUBBORN, grace_seconds=0.4)
    await link.start(request)
    await house.until_output(link, request.fence, b"ready")
    began = time.monotonic()
    await link.cancel(request.fence, "test")
    record = await house.end_of(link, request.fence)
    assert 0.4 <= time.monotonic() - began < 1.4
    assert (record.outcome, record.signal) == (Outcome.CANCELLED, "KILL")
    assert signals(record) == ["TERM", "KILL"]
    first, second = record.receipt.signals
    assert second.sent_at_us - first.sent_at_us >= 400_000
    assert house.processes(record.fence) == []


async def test_a_child_that_ignores_the_signal_is_killed_after_its_parent_is_gone(
    house: House,
) -> None:
    link = await house.open()
    child = 'trap "" TERM; echo ready; while :; do sleep 0.05; done'
    request = house.script(f"setsid sh -c '{child}' & wait", grace_seconds=0.3)
    await link.start(request)
    await house.until_output(link, request.fence, b"ready")
    await link.cancel(request.fence, "test")
    record = await house.end_of(link, request.fence)
    assert (record.signal, signals(record)) == ("TERM", ["TERM", "KILL"])
    assert house.processes(record.fence) == []


async def test_another_signal_can_be_chosen(house: House) -> None:
    link = await house.open()
    text = "trap 'exit 5' INT; echo ready; while :; do sleep 0.02; done"
    request = house.script(text, signal="INT")
    await link.start(request)
    await house.until_output(link, request.fence, b"ready")
    await link.cancel(request.fence, "test")
    record = await house.end_of(link, request.fence)
    assert (record.exit_code, signals(record)) == (5, ["INT"])


async def test_a_stopped_job_is_continued_so_that_it_can_end(house: House) -> None:
    link = await house.open()
    request = house.script("trap 'exit 6' TERM; echo ready; kill -STOP $$; sleep 100")
    started = await link.start(request)
    await house.until_output(link, request.fence, b"ready")
    assert isinstance(started, Started)
    await until(lambda: (it := look(started.pid)) is not None and it.is_stopped)
    await link.cancel(request.fence, "test")
    record = await house.end_of(link, request.fence)
    assert (record.exit_code, signals(record)) == (6, ["TERM", "CONT"])


async def test_a_second_cancel_changes_nothing_but_may_shorten_the_grace(
    house: House,
) -> None:
    link = await house.open()
    request = house.script(STUBBORN, grace_seconds=60.0)
    await link.start(request)
    await house.until_output(link, request.fence, b"ready")
    await link.cancel(request.fence, "first")
    await link.cancel(request.fence, "second")
    await link.cancel(request.fence, "third", grace_seconds=600.0)
    await link.cancel(request.fence, "fourth", grace_seconds=0.0)
    record = await house.end_of(link, request.fence)
    assert record.reason == "first"
    assert signals(record) == ["TERM", "KILL"]
    status = await link.cancel(request.fence, "too late")
    assert (status.state, status.record) == ("ended", record)
    with pytest.raises(KeeperRefusedError, match="attempt 999 is not known"):
        await link.cancel(999, "never was")


async def test_a_timeout_that_follows_a_cancel_changes_nothing(house: House) -> None:
    link = await house.open()
    request = house.script(STUBBORN, timeout_seconds=0.2, grace_seconds=0.5)
    await link.start(request)
    await house.until_output(link, request.fence, b"ready")
    await link.cancel(request.fence, "test")
    record = await house.end_of(link, request.fence)
    assert (record.outcome, record.reason) == (Outcome.CANCELLED, "test")


async def test_a_silent_leftover_is_ended_with_its_job(house: House) -> None:
    link = await house.open()
    request = house.script(
        "setsid sleep 1000 >/dev/null 2>&1 & exit 3", linger_seconds=60.0
    )
    record = await house.run(link, request)
    assert (record.outcome, record.exit_code) == (Outcome.EXITED, 3)
    assert signals(record) == ["TERM"]
    assert not record.receipt.output_leaked
    assert house.processes(record.fence) == []


async def test_a_leftover_with_the_output_gets_some_time_to_finish(
    house: House,
) -> None:
    link = await house.open()
    request = house.script("(sleep 0.2; echo late) & exit 0", linger_seconds=60.0)
    record = await house.run(link, request)
    assert house.output(record.fence) == b"late\n"
    assert (record.exit_code, signals(record)) == (0, [])
    assert not record.receipt.output_leaked


async def test_a_leftover_that_keeps_the_output_is_ended_after_the_wait(
    house: House,
) -> None:
    link = await house.open()
    request = house.script("sleep 1000 & exit 0", linger_seconds=0.3)
    record = await house.run(link, request)
    assert record.finished_at_us - (record.started_at_us or 0) >= 300_000
    assert (record.outcome, record.exit_code) == (Outcome.EXITED, 0)
    assert record.receipt.output_leaked
    assert signals(record) == ["TERM"]
    assert house.processes(record.fence) == []


async def test_a_cancel_hastens_what_lingers_but_not_the_result(house: House) -> None:
    link = await house.open()
    request = house.script("echo ready; sleep 1000 & exit 4", linger_seconds=60.0)
    await link.start(request)
    await until_state(link, request.fence, "ending")
    await link.cancel(request.fence, "test")
    record = await house.end_of(link, request.fence)
    assert (record.outcome, record.exit_code) == (Outcome.EXITED, 4)


async def test_orphans_of_one_attempt_do_not_trouble_another(house: House) -> None:
    link = await house.open()
    long = house.script("(setsid sleep 1000 &) ; echo ready; exec sleep 1000")
    await link.start(long)
    await house.until_output(link, long.fence, b"ready")
    for _ in range(3):
        record = await house.run(link, house.script("setsid sleep 1000 & exit 0"))
        assert signals(record) == ["TERM"]
    assert len(house.processes(long.fence)) == 2
    await link.cancel(long.fence, "test")
    record = await house.end_of(link, long.fence)
    assert record.receipt.signals[0].processes == 2


async def test_an_orphan_without_marker_is_known_by_the_output_it_holds(
    house: House,
) -> None:
    link = await house.open()
    other = house.request("sleep", "1000")
    await link.start(other)
    request = house.script(
        "(env -i setsid sh -c 'echo $$; exec sleep 1000' &) ; exec sleep 1000"
    )
    await link.start(request)
    await house.until_output(link, request.fence, b"\n")
    pid = int(house.output(request.fence))
    await link.cancel(request.fence, "test")
    record = await house.end_of(link, request.fence)
    assert record.receipt.signals[0].processes == 2
    assert not record.receipt.output_leaked
    assert not is_alive(pid)


async def test_a_stray_that_nobody_can_place_ends_with_the_last_attempt(
    house: House,
) -> None:
    link = await house.open()
    other = house.request("sleep", "1000")
    await link.start(other)
    hidden = "echo $$ > stray; exec sleep 1000 >/dev/null 2>&1"
    request = house.script(f"(env -i setsid sh -c '{hidden}' &) ; sleep 0.3")
    record = await house.run(link, request)
    assert record.exit_code == 0
    pid = int((house.files / "stray").read_text())
    stray = os.pidfd_open(pid)
    assert is_alive(pid), "it may belong to the other"
    await link.cancel(other.fence, "test")
    await house.end_of(link, other.fence)
    await until(lambda: not is_alive(pid))
    os.close(stray)


async def test_a_tree_that_grows_while_it_is_killed_is_killed_to_the_end(
    house: House,
) -> None:
    link = await house.open()
    # Each generation leaves the group, ignores the signal, and is replaced by the next.
    grow = house.files / "grow"
    grow.write_text(
        "#!/bin/sh\ntrap '' TERM\n[ -e stop ] || setsid ./grow &\nsleep 0.05\n"
    )
    grow.chmod(0o755)
    request = house.script("setsid ./grow & echo ready; wait; sleep 1000")
    await link.start(request)
    await house.until_output(link, request.fence, b"ready")
    await link.cancel(request.fence, "test", grace_seconds=0.1)
    record = await house.end_of(link, request.fence)
    (house.files / "stop").touch()
    assert record.receipt.survivors == ()
    assert house.processes(record.fence) == []


async def test_a_keeper_that_is_told_to_stop_ends_its_jobs_first(
    own_house: House,
) -> None:
    link = await own_house.open()
    request = own_house.script(CROWD + "echo ready; wait")
    await link.start(request)
    await own_house.until_output(link, request.fence, b"ready")
    os.kill(link.welcome.pid, signal.SIGTERM)
    record = await own_house.end_of(link, request.fence)
    assert (record.outcome, record.reason) == (
        Outcome.CANCELLED,
        "the keeper was told to stop",
    )
    await link.lost.wait()
    assert own_house.processes() == []


async def test_a_keeper_that_is_told_twice_waits_for_nobody(own_house: House) -> None:
    link = await own_house.open()
    request = own_house.script(STUBBORN, grace_seconds=60.0)
    await link.start(request)
    await own_house.until_output(link, request.fence, b"ready")
    os.kill(link.welcome.pid, signal.SIGTERM)
    await until_state(link, request.fence, "ending")
    os.kill(link.welcome.pid, signal.SIGTERM)
    record = await own_house.end_of(link, request.fence)
    assert signals(record) == ["TERM", "KILL"]


async def test_output_in_the_hands_of_a_stranger_is_left_to_him(house: House) -> None:
    link = await house.open()
    request = house.script("until [ -e go ]; do sleep 0.01; done; echo end; exit 2")
    started = await link.start(request)
    assert isinstance(started, Started)
    stranger = os.open(f"/proc/{started.pid}/fd/1", os.O_WRONLY)
    (house.files / "go").touch()
    record = await house.end_of(link, request.fence)
    os.close(stranger)
    assert (record.outcome, record.exit_code) == (Outcome.EXITED, 2)
    assert record.receipt.output_leaked
    assert signals(record) == []
    assert house.output(request.fence) == b"end\n"


async def test_a_stranger_delays_the_end_of_a_cancelled_job_only_shortly(
    house: House,
) -> None:
    link = await house.open()
    request = house.request("sleep", "1000", linger_seconds=60.0)
    started = await link.start(request)
    assert isinstance(started, Started)
    stranger = os.open(f"/proc/{started.pid}/fd/2", os.O_WRONLY)
    await link.cancel(request.fence, "test")
    record = await house.end_of(link, request.fence)
    os.close(stranger)
    assert (record.outcome, record.signal) == (Outcome.CANCELLED, "TERM")
    assert record.receipt.output_leaked
