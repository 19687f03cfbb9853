"""Whatever is sent, in whatever order, through crashes and errors: the log is the source.

The machine plays a worker that sends any part of what it has, a disk that fails and loses
what was not synced, and a control plane that is restarted. It holds the store to three
promises: what was acknowledged is never lost, what is stored is a prefix of the source,
and a worker that goes on sending gets everything stored.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from jobs_grpc.controlplane.output import (
    Chunk,
    LogKey,
    OutputStore,
    StoreSettings,
    Stream,
)
from unit.output.stand import MemoryDisk, chunk, text_of

T = TypeVar("T")

KEYS = (LogKey("aaaa", 1), LogKey("aaaa", 2), LogKey("bbbb", 1))
SOURCES = {key: random.Random(n).randbytes(400) for n, key in enumerate(KEYS)}

spans = st.tuples(st.sampled_from(KEYS), st.integers(0, 400), st.integers(0, 80))


class LogMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.disk = MemoryDisk()
        self.store = self._start()
        self.acked = dict.fromkeys(KEYS, 0)

    def teardown(self) -> None:
        self.disk.fails_in = None
        for key in KEYS:
            self._deliver_the_rest(key)
        self._await(self.store.close())
        self.loop.close()

    def _start(self) -> OutputStore:
        bounds = StoreSettings(flush_threads=2, open_files=1, known_logs=1)
        return OutputStore(Path("/output"), disk=self.disk, settings=bounds)

    def _await(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    @initialize(seed=st.integers(0, 2**32))
    def seed(self, seed: int) -> None:
        self.random = random.Random(seed)

    @rule(group=st.lists(spans, min_size=1, max_size=8))
    def send_anything(self, group: list[tuple[LogKey, int, int]]) -> None:
        self._send([_part(*span) for span in group])

    @rule(key=st.sampled_from(KEYS), sizes=st.lists(st.integers(1, 60), max_size=4))
    def send_what_comes_next(self, key: LogKey, sizes: list[int]) -> None:
        group, offset = [], self.acked[key]
        for size in sizes:
            group.append(_part(key, offset, size))
            offset += size
        self._send(group)

    @rule(
        group=st.lists(spans, min_size=1, max_size=4),
        calls=st.integers(0, 12),
    )
    def send_while_the_disk_fails(
        self, group: list[tuple[LogKey, int, int]], calls: int
    ) -> None:
        self.disk.fails_in = calls
        self._send([_part(*span) for span in group])
        self.disk.fails_in = None

    @rule(power=st.booleans())
    def restart(self, power: bool) -> None:
        """A killed process loses its memory; a power cut takes un-synced pages, too."""
        self._await(self.store.close())
        if power:
            self.disk.crash(self.random)
        self.store = self._start()

    @rule(
        group=st.lists(spans, min_size=1, max_size=4),
        calls=st.integers(0, 12),
        power=st.booleans(),
    )
    def die_while_writing(
        self, group: list[tuple[LogKey, int, int]], calls: int, power: bool
    ) -> None:
        """The process ends within the flush: nobody hears an answer."""
        self.disk.fails_in = calls
        self._await(self.store.append([_part(*span) for span in group]))
        self.disk.fails_in = None
        self.restart(power)

    @invariant()
    def what_is_stored_is_a_prefix_of_the_source(self) -> None:
        for key in KEYS:
            size = self._await(self.store.size(key.execution_id, key.attempt))
            assert size >= self.acked[key]
            read = self._await(self.store.read(key.execution_id, key.attempt, 0, 1000))
            assert text_of(read) == SOURCES[key][:size]

    def _send(self, group: list[Chunk]) -> None:
        for result in self._await(self.store.append(group)):
            if result.error is not None:
                assert not result.acks
                continue
            [ack] = result.acks
            assert not ack.refused
            assert ack.offset == result.size >= self.acked[ack.key]
            self.acked[ack.key] = ack.offset

    def _deliver_the_rest(self, key: LogKey) -> None:
        while self.acked[key] < len(SOURCES[key]):
            before = self.acked[key]
            self._send([_part(key, before, 64)])
            assert self.acked[key] > before
        read = self._await(self.store.read(key.execution_id, key.attempt, 0, 1000))
        assert text_of(read) == SOURCES[key]


def _part(key: LogKey, at: int, size: int) -> Chunk:
    data = SOURCES[key][at : at + size]
    stream = Stream(1 + at % 3)
    return chunk(data, at, key=key, stream=stream)


LogMachine.TestCase.settings = settings(
    max_examples=100, stateful_step_count=25, deadline=None
)
TestLogMachine = LogMachine.TestCase
