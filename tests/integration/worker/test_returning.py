"""Streams that break: work goes on, and everything is told in the end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from integration.worker.host import Host, gone
from jobs_grpc.v1 import worker_service_pb2 as wire
from support.fake_leader import FakeLeader, seconds

# Prints 20,000 numbered lines in parts, and a part after each word through the gate.
STEADY = """
i=0
while read word; do
  end=$((i + 2000))
  while [ $i -lt $end ]; do i=$((i + 1)); echo "line $i"; done
done < {gate}
"""


def told_times(leader: FakeLeader, fence: int, times: int) -> Callable[[], bool]:
    return lambda: leader.kinds(fence).count("finished") == times


class Gate:
    """Lets a job go on, part by part."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self._descriptor = os.open(path, os.O_RDWR)

    def word(self) -> None:
        os.write(self._descriptor, b"go\n")

    def close(self) -> None:
        os.close(self._descriptor)


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path / "gate")


async def test_a_job_goes_on_through_cuts_and_its_output_is_whole(
    leader: FakeLeader, host: Host, gate: Gate
) -> None:
    await host.start()
    # The job has the gate open as well; it ends when a cut of the last lines is seen.
    script = STEADY.format(gate=gate.path) + "exit 0\n"
    fence = leader.script(script.replace("read word", "[ $i -lt 20000 ] && read word"))
    # A lease that is lost with its stream is leased again by a real leader only.
    await leader.until(lambda: "started" in leader.kinds(fence))
    for part in range(10):
        gate.word()
        if part % 3 == 1:
            await leader.cut()
        if part == 6:
            await leader.until(lambda: len(leader.log(fence).data) > 50_000)
            leader.acknowledges_output = False
    leader.acknowledges_output = True
    await leader.cut()
    end = await leader.end_of(fence)
    gate.close()
    assert end.outcome == wire.ATTEMPT_OUTCOME_SUCCEEDED
    lines = leader.log(fence).stdout.splitlines()
    assert lines == [f"line {number}" for number in range(1, 20_001)]
    # Which cuts were seen depends on the moment; those that were, kept the session.
    assert len(leader.hellos) >= 2
    assert {hello.session_id for hello in leader.hellos[1:]} == {"session-1"}
    assert leader.kinds(fence).count("finished") >= 1


async def test_an_inventory_tells_what_runs_and_what_has_ended(
    leader: FakeLeader, host: Host, gate: Gate
) -> None:
    leader.acknowledges_results = False
    leader.grants_starts = False
    await host.start()
    running = leader.command(f"read x < {gate.path}")
    asked = leader.command("echo asked", delivery=wire.DELIVERY_AT_MOST_ONCE)
    ended = leader.command("true")
    await leader.until(lambda: ended in leader.finished)
    await leader.until(lambda: "started" in leader.kinds(running))
    leader.grants_starts = leader.acknowledges_results = True
    await leader.cut()
    await leader.until(lambda: len(leader.hellos) == 2)
    phases = {entry.fence: entry.phase for entry in leader.hellos[1].inventory}
    assert phases == {
        running: wire.ATTEMPT_PHASE_RUNNING,
        asked: wire.ATTEMPT_PHASE_LEASED,
        ended: wire.ATTEMPT_PHASE_FINISHED,
    }
    (entry,) = (e for e in leader.hellos[1].inventory if e.fence == running)
    assert (entry.execution_id, entry.attempt) == (f"execution-{running}", 1)
    assert entry.HasField("started_at")
    await leader.end_of(asked)
    gate.word()
    await leader.end_of(running)
    gate.close()


async def test_a_job_that_ends_while_the_leader_is_away_is_told_when_it_is_back(
    leader: FakeLeader, host: Host, gate: Gate
) -> None:
    await host.start()
    fence = leader.command(f"read x < {gate.path}; echo done")
    await leader.until(lambda: "started" in leader.kinds(fence))
    await leader.down()
    gate.word()
    spool = host.data / f"keeper/attempts/{fence}/spool"
    await gone(lambda: spool.exists() and b"done" in spool.read_bytes())
    await leader.up()
    end = await leader.end_of(fence)
    gate.close()
    assert end.outcome == wire.ATTEMPT_OUTCOME_SUCCEEDED
    assert leader.log(fence).stdout == "done\n"


async def test_a_result_is_told_on_every_stream_until_it_is_acknowledged(
    leader: FakeLeader, host: Host
) -> None:
    leader.acknowledges_results = False
    await host.start()
    fence = leader.command("exit 7")
    await leader.end_of(fence)
    for told in (2, 3):
        await leader.cut()
        await leader.until(told_times(leader, fence, told))
    leader.acknowledges_results = True
    await leader.cut()
    await leader.until(lambda: len(leader.hellos) == 4)
    await leader.end_of(leader.command("true"))
    await leader.cut()
    await leader.until(lambda: len(leader.hellos) == 5)
    # Acknowledged, and kept in case the leader loses it, until it says forget.
    assert fence not in {entry.fence for entry in leader.hellos[4].inventory}


async def test_a_leader_that_lost_a_result_gets_it_again(
    leader: FakeLeader, host: Host
) -> None:
    await host.start()
    fence = leader.command("exit 7")
    await leader.end_of(fence)
    await leader.until(lambda: leader.finished.pop(fence, None))
    await leader.cut()
    assert (await leader.end_of(fence)).exit_code == 7


async def test_work_that_the_leader_gave_away_meanwhile_is_ended(
    leader: FakeLeader, host: Host
) -> None:
    await host.start()
    fence = leader.command("sleep 60")
    await leader.until(lambda: "started" in leader.kinds(fence))
    leader.judge = lambda entry: wire.INVENTORY_VERDICT_CANCEL
    leader.refuses_output = True
    await leader.cut()
    end = await leader.end_of(fence)
    assert end.outcome == wire.ATTEMPT_OUTCOME_CANCELLED
    assert end.error == "the leader has ended this lease"


async def test_a_leader_of_a_lower_term_is_not_served(
    leader: FakeLeader, host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    leader.term = 7
    daemon = await host.start()
    leader.term = 6
    await leader.cut()
    await leader.until(lambda: len(leader.hellos) >= 3)
    assert {hello.highest_term for hello in leader.hellos[1:]} == {7}
    assert "term 7 was seen already: it is deposed" in caplog.text
    leader.lease(wire.Work(command=wire.CommandWork(line="true")))
    leader.term = 8
    await leader.until(lambda: daemon.identity.highest_term == 8 and leader.beats > 2)
    assert not leader.finished


async def test_a_worker_that_is_sent_away_goes_where_it_is_told(
    leader: FakeLeader, host: Host
) -> None:
    async with FakeLeader() as successor:
        leader.go_away = wire.GoAway(address=successor.address, reason="a new leader")
        leader.go_away.reconnect_after.CopyFrom(seconds(0.05))
        starting = asyncio.ensure_future(host.start())
        await successor.connected()
        await successor.end_of(successor.command("true"))
        # When the successor is gone, the worker asks where it was told to ask first.
        leader.go_away = None
        await successor.down()
        await starting
        await successor.up()


async def test_a_worker_that_was_sent_away_comes_back_after_the_time(
    leader: FakeLeader, host: Host
) -> None:
    await host.start()
    away = wire.GoAway(reason="a restart")
    away.reconnect_after.CopyFrom(seconds(0.3))
    loop = asyncio.get_running_loop()
    sent_at = loop.time()
    leader.send(wire.LeaderMessage(go_away=away))
    await leader.until(lambda: len(leader.hellos) == 2)
    assert 0.25 < loop.time() - sent_at < 5


async def test_without_answered_heartbeats_nothing_new_begins(tmp_path: Path) -> None:
    leader = FakeLeader(heartbeat_seconds=0.1, ttl_seconds=0.6)
    async with leader:
        host = Host(leader, tmp_path / "data")
        await host.start()
        await leader.end_of(leader.command("true"))
        leader.acknowledges_heartbeats = False
        beats = leader.beats
        await leader.until(lambda: leader.beats >= beats + 7)
        fence = leader.command("true")
        await leader.until(lambda: leader.beats >= beats + 10)
        assert leader.kinds(fence) == []
        leader.acknowledges_heartbeats = True
        await leader.end_of(fence)
        await host.clear()


async def test_heartbeats_come_as_often_as_the_last_answer_says(
    tmp_path: Path,
) -> None:
    leader = FakeLeader(heartbeat_seconds=0.05, ttl_seconds=0.3)
    async with leader:
        host = Host(leader, tmp_path / "data")
        await host.start()
        leader.times = (30.0, 90.0)
        await leader.until(lambda: leader.beats >= 2)
        beats = leader.beats
        # Longer than the time of the welcome: the session is trusted by the new one.
        await asyncio.sleep(0.6)
        assert leader.beats <= beats + 1
        await leader.end_of(leader.command("true"))
        assert len(leader.hellos) == 1
        await host.clear()


async def test_a_leader_that_is_deaf_is_left(
    leader: FakeLeader, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "jobs_grpc.worker.connection.stream.KEEPALIVE_TIMEOUT_SECONDS", 0.1
    )
    leader.acknowledges_heartbeats = False
    await host.start()
    await leader.until(lambda: len(leader.hellos) >= 2)


async def test_a_wrong_address_is_said_once_and_tried_again(
    leader: FakeLeader, host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    await leader.down()
    starting = asyncio.ensure_future(host.start())
    await gone(lambda: "no connection to the control plane" in caplog.text)
    await leader.up()
    await starting
    assert caplog.text.count("no connection to the control plane") <= 3
