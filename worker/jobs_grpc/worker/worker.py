"""`Worker`: the daemon inside the user's own program.

::

    from jobs_grpc.worker import Worker, function

    @function
    async def greet(name: str) -> str:
        return f"hello {name}"

    if __name__ == "__main__":
        Worker(functions=[greet], slots=100).run()
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from jobs_grpc.worker import log
from jobs_grpc.worker.config import WorkerSettings, read_settings
from jobs_grpc.worker.functions.catalogue import load

# What a shell reports for a program that a signal has ended.
_ENDED_BY: Final = 128


class Worker:
    """A worker with functions of its own."""

    def __init__(
        self,
        *,
        functions: Iterable[Callable[..., Any]] = (),
        addr: str | None = None,
        name: str | None = None,
        slots: int | None = None,
        labels: Mapping[str, str] | None = None,
        data: Path | str | None = None,
        settings: WorkerSettings | None = None,
    ) -> None:
        """What is not given here comes from the environment, as for the daemon.

        Raises:
            SettingsError: a setting is wrong.
            CatalogueError: functions cannot be loaded.
        """
        settings = settings or read_settings([], os.environ)
        self.settings = replace(
            settings,
            addr=settings.addr if addr is None else addr,
            name=settings.name if name is None else name,
            slots=settings.slots if slots is None else slots,
            labels=settings.labels if labels is None else labels,
            data=settings.data if data is None else Path(data),
        )
        self._catalogue = load(self.settings.functions, functions)

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; a second one ends the program at once."""
        if not logging.getLogger().hasHandlers():  # a program may have its own ideas
            log.setup(self.settings.log_format, self.settings.log_level)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(self.serve(owns_process=True))

    async def serve(self, *, owns_process: bool = False) -> None:
        """Serve inside a running loop until cancelled.

        Raises:
            DirectoryTakenError: another worker runs on the data directory.
            DirectoryUnusableError: it cannot be read or written.
            KeeperError: the keeper cannot be reached or started.
        """
        # gRPC costs 100 ms to import; a program that only marks functions needs none.
        from jobs_grpc.worker.daemon import Daemon, calm_collector

        daemon = Daemon(self.settings, self._catalogue)
        if owns_process:
            _stop_on_signals(daemon.stop)
            calm_collector()
        await daemon.run()


def _stop_on_signals(stop: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    is_second = False

    def receive(number: int) -> None:
        nonlocal is_second
        if is_second:
            # Not sys.exit: whatever keeps us from stopping must not be waited for.
            os._exit(_ENDED_BY + number)
        is_second = True
        stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, receive, number)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        log.without_uvloop()
        return None
    return uvloop.new_event_loop
