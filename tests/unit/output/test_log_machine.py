"""Whatever is sent, in whatever order, through crashes and errors: the log is the source.

The machine plays a worker that sends any part of what it has, a disk that fails and loses
what was not synced, and a control plane that is killed and started again. It holds the log
to three promises: what was acknowledged is never lost, what is stored is a prefix of the
source, and a worker that goes on sending gets everything stored.
"""

from __future__ import annotations

import random
from contextlib import suppress

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from jobs_grpc.controlplane.output import Chunk, Stream
from unit.output.desk import Desk
from unit.output.stand import chunk, text_of

SOURCE = random.Random(1).randbytes(300)

spans = st.tuples(st.integers(0, len(SOURCE)), st.integers(0, 80))
sizes = st.lists(st.integers(1, 60), min_size=1, max_size=4)
seeds = st.integers(0, 1_000)
# Open, settle, write, sync, name: a flush has about so many calls.
calls = st.integers(0, 6)


class LogMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk()
        self.acked = 0

    def teardown(self) -> None:
        while self.acked < len(SOURCE):
            before = self.acked
            self._send([_part(before, 80)])
            assert self.acked > before
        assert text_of(self.desk.log.read(0, 1_000)) == SOURCE

    @rule(group=st.lists(spans, min_size=1, max_size=6))
    def send_anything(self, group: list[tuple[int, int]]) -> None:
        self._send([_part(*span) for span in group])

    @rule(sizes=sizes)
    def send_what_comes_next(self, sizes: list[int]) -> None:
        self._send(self._next(sizes))

    @rule(sizes=sizes, calls=calls)
    def send_while_the_disk_fails(self, sizes: list[int], calls: int) -> None:
        self.desk.disk.fails_in = calls
        with suppress(OSError):
            self._send(self._next(sizes))
        self.desk.disk.fails_in = None

    @rule(sizes=sizes, calls=calls)
    def be_killed_while_writing(self, sizes: list[int], calls: int) -> None:
        """The pages live on in the kernel."""
        self._write_unheard(sizes, calls)
        self.desk.start()

    @rule(sizes=sizes, calls=calls, seed=seeds)
    def lose_power_while_writing(self, sizes: list[int], calls: int, seed: int) -> None:
        self._write_unheard(sizes, calls)
        self.desk.crash(seed)

    @rule(seed=seeds)
    def lose_power(self, seed: int) -> None:
        self.desk.crash(seed)

    @precondition(lambda self: self.desk.log.may_be_forgotten)
    @rule()
    def be_forgotten(self) -> None:
        """Too many other logs were used meanwhile."""
        self.desk.start()

    @invariant()
    def what_is_stored_is_a_prefix_of_the_source(self) -> None:
        read = text_of(self.desk.log.read(0, 1_000))
        assert read == SOURCE[: self.desk.log.size]
        assert self.desk.log.size >= self.acked

    def _next(self, sizes: list[int]) -> list[Chunk]:
        """Return what a worker sends that has heard of every acknowledgement."""
        group, offset = [], self.acked
        for size in sizes:
            group.append(_part(offset, size))
            offset += size
        return group

    def _send(self, group: list[Chunk]) -> None:
        offset = self.desk.append(*group)
        assert offset == self.desk.log.size >= self.acked
        self.acked = offset

    def _write_unheard(self, sizes: list[int], calls: int) -> None:
        self.desk.disk.fails_in = calls
        with suppress(OSError):
            self.desk.append(*self._next(sizes))
        self.desk.disk.fails_in = None


def _part(at: int, size: int) -> Chunk:
    return chunk(SOURCE[at : at + size], at, stream=Stream(1 + at % 3))


LogMachine.TestCase.settings = settings(
    max_examples=150, stateful_step_count=20, deadline=None
)
TestLogMachine = LogMachine.TestCase
