"""The program `jobs-grpc`, in this process or in one of its own."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from jobs_grpc.client.cli.main import run

_SECONDS = 30
_SECONDS_TO_END = 5


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


class Cli:
    """A running command. Leaving the context kills what is left of it."""

    def __init__(
        self, *arguments: str, addr: str = "", env: Mapping[str, str] | None = None
    ) -> None:
        self._arguments = arguments
        self._env = _environment(addr, env)
        self._process: asyncio.subprocess.Process | None = None

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self._process is not None, "enter the context first"
        return self._process

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "jobs_grpc.client.cli",
            *self._arguments,
            env=self._env,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Asked first, for a command may have children of its own to end.
        with suppress(ProcessLookupError):
            self.process.terminate()
        try:
            async with asyncio.timeout(_SECONDS_TO_END):
                await self.process.communicate()
        except TimeoutError:
            with suppress(ProcessLookupError):
                self.process.kill()

    async def line(self) -> bytes:
        """Return the next line of standard output."""
        assert self.process.stdout is not None
        async with asyncio.timeout(_SECONDS):
            return await self.process.stdout.readline()

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    async def ended(self, stdin: bytes = b"") -> Ended:
        """Return how it ended, with what it wrote since it was last read."""
        async with asyncio.timeout(_SECONDS):
            out, err = await self.process.communicate(stdin)
        code = self.process.returncode
        assert code is not None
        return Ended(code, out.decode(errors="replace"), err.decode(errors="replace"))


def jobs_grpc(
    *arguments: str,
    addr: str = "",
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
) -> Ended:
    """Run a command to its end, in this process (starting one costs half a second)."""
    out, err = _Captured(), _Captured()
    before = dict(os.environ), sys.stdin, sys.stdout, sys.stderr
    os.environ.clear()
    os.environ.update(_environment(addr, env))
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin))
    sys.stdout, sys.stderr = out, err
    try:
        code = run(arguments)
    finally:
        environment, sys.stdin, sys.stdout, sys.stderr = before
        os.environ.clear()
        os.environ.update(environment)
    return Ended(code, out.text(), err.text())


class _Captured(io.TextIOWrapper):
    """A text stream whose bytes are kept."""

    def __init__(self) -> None:
        self._kept = io.BytesIO()
        super().__init__(self._kept, encoding="utf-8", write_through=True)

    def text(self) -> str:
        self.flush()
        return self._kept.getvalue().decode(errors="replace")


def _environment(addr: str, more: Mapping[str, str] | None) -> dict[str, str]:
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("JOBS_GRPC_")
    }
    if addr:
        clean["JOBS_GRPC_ADDR"] = addr
    return {**clean, **(more or {})}
