"""One log without a store around it."""

from __future__ import annotations

import random
from pathlib import Path

from jobs_grpc.controlplane.output import Chunk
from jobs_grpc.controlplane.output.log.attempt import AttemptLog
from jobs_grpc.controlplane.output.log.descriptors import Descriptors
from unit.output.stand import KEY, MemoryDisk, text_of

PATH = Path("/output/log")


class Desk:
    """A log, its disk, and what the store does around them."""

    def __init__(self) -> None:
        self.disk = MemoryDisk()
        self.start()

    def start(self) -> None:
        """Begin with an empty memory, as after the end of the process."""
        self.log = AttemptLog(KEY, PATH, self.disk)
        self.descriptors = Descriptors(self.disk, limit=4)

    def crash(self, seed: int = 0) -> None:
        """Cut the power and start again."""
        self.disk.crash(random.Random(seed))
        self.start()

    def append(self, *chunks: Chunk) -> int:
        """Store a group and return the offset acknowledged."""
        self.log.load()
        plan = self.log.plan(chunks)
        if self.log.needs_write(plan):
            self.log.write(plan, self.descriptors)
            try:
                if not self.log.is_named:
                    self.disk.sync_directory(PATH.parent)
            except OSError:
                self.log.abandon(self.descriptors)
                raise
            self.log.commit(plan)
        self.plan = plan
        return plan.acks[0].offset

    def drop(self) -> None:
        """Give back what the last group said may go."""
        if self.plan.dropped:
            self.log.drop(self.plan, self.descriptors)

    def text(self) -> bytes:
        return text_of(self.log.read(0, 1_000))
