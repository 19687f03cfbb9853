"""One server and three workers as real processes, kept alive as an init system would.

::

    worker w1 ── relay ──► server ◄── relay ── worker w2
                             ▲
    network namespace "far": worker w3 ── relay ══ veth ══ relay

Without TLS the server serves loopback only, so the far worker reaches it through a relay on
either side of its link.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from chaos.relay import Relay
from jobs_grpc.client import Client, JobsError

HERE: Final = Path(__file__).resolve().parent
TESTS: Final = HERE.parent
SLOTS: Final = 8
# An init system waits a moment, so that a broken program does not spin.
_RESTART_SECONDS: Final = 0.5
_NAMESPACE: Final = "jobs-grpc-chaos"
_HOST_ADDRESS, _FAR_ADDRESS = "10.77.99.1", "10.77.99.2"


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Program:
    """A process that is started again whenever it ends."""

    def __init__(
        self,
        name: str,
        data: Path,
        arguments: list[str],
        *,
        prefix: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.data = data
        self.points = data.parent / f"{name}-points"
        self.log = data.parent / f"{name}.log"
        self.restarts = 0
        self._command = [*prefix, sys.executable, "-m", *arguments]
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._is_held = False
        self._ended = asyncio.Event()

    async def start(self) -> None:
        """Start it, and keep it alive from now on."""
        self.points.mkdir(exist_ok=True)
        await self._launch()
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.name}")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    async def stop(self) -> None:
        """Stop it in order, for good."""
        self._is_held = True
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        if self._process is not None:
            try:
                async with asyncio.timeout(20):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        if self._keeper is not None:
            await self._keeper

    async def _launch(self) -> None:
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("JOBS_GRPC_")},
            "CHAOS_POINTS": str(self.points),
            "PYTHONPATH": f"{HERE / 'points'}",
        }
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdout=log, stderr=log, env=environment
            )

    async def _keep(self) -> None:
        while True:
            assert self._process is not None
            await self._process.wait()
            if self._is_held:
                return
            self.restarts += 1
            await asyncio.sleep(_RESTART_SECONDS)
            if self._is_held:
                return
            await self._launch()


@dataclass(slots=True)
class System:
    """Everything that faults may touch."""

    root: Path
    address: str
    server: Program
    workers: dict[str, Program] = field(default_factory=dict)
    relays: dict[str, Relay] = field(default_factory=dict)
    has_far: bool = False

    @property
    def witness(self) -> Path:
        return self.root / "witness"

    def keeper_pid(self, worker: str) -> int | None:
        """Return the process id of a worker's keeper, if there is one."""
        with contextlib.suppress(OSError, ValueError):
            return int((self.workers[worker].data / "keeper/keeper.lock").read_text())
        return None

    def job_processes(self) -> list[str]:
        """Return the living processes that a keeper of this system has marked."""
        found = []
        for path in Path("/proc").iterdir():
            if not path.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                environment = (path / "environ").read_bytes()
                is_ours = f"CHAOS_WITNESS={self.witness}".encode() in environment
                if is_ours and b"JOBS_FENCE=" in environment:
                    command = (path / "cmdline").read_bytes().replace(b"\0", b" ")
                    found.append(f"{path.name} {command.decode(errors='replace')}")
        return found

    async def connect(self) -> Client:
        """Return a client once the server answers."""
        deadline = time.monotonic() + 60
        while True:
            try:
                return await Client.connect(self.address)
            except JobsError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.1)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def link(state: str) -> None:
    """Take the far worker's link down or up: packets vanish, nobody is told."""
    _ip("link", "set", "jgc-host", state)


@asynccontextmanager
async def _far_side(port: int) -> AsyncIterator[tuple[str, tuple[str, ...]]]:
    """Make a namespace with a link to here; yield the address and prefix inside it."""
    _clear_far_side()
    _ip("netns", "add", _NAMESPACE)
    inside = ("ip", "netns", "exec", _NAMESPACE)
    outer = Relay("127.0.0.1", port)
    relay: asyncio.subprocess.Process | None = None
    try:
        _ip("link", "add", "jgc-host", "type", "veth", "peer", "name", "jgc-far")
        _ip("link", "set", "jgc-far", "netns", _NAMESPACE)
        _ip("addr", "add", f"{_HOST_ADDRESS}/30", "dev", "jgc-host")
        _ip("link", "set", "jgc-host", "up")
        subprocess.run([*inside, "ip", "link", "set", "lo", "up"], check=True)
        address = ["ip", "addr", "add", f"{_FAR_ADDRESS}/30", "dev", "jgc-far"]
        subprocess.run([*inside, *address], check=True)
        subprocess.run([*inside, "ip", "link", "set", "jgc-far", "up"], check=True)
        door = await outer.open(_HOST_ADDRESS)
        relay = await asyncio.create_subprocess_exec(
            *(*inside, sys.executable, "-m", "chaos.relay", "127.0.0.1:7420", door),
            cwd=TESTS,
        )
        yield "127.0.0.1:7420", inside
    finally:
        if relay is not None:
            with contextlib.suppress(ProcessLookupError):
                relay.kill()
            await relay.wait()
        await outer.close()
        _clear_far_side()


def _clear_far_side() -> None:
    for words in (("link", "del", "jgc-host"), ("netns", "del", _NAMESPACE)):
        subprocess.run(["ip", *words], check=False, capture_output=True)


def _can_isolate() -> bool:
    if os.geteuid() != 0:
        return False
    try:
        _ip("netns", "add", f"{_NAMESPACE}-try")
        _ip("netns", "del", f"{_NAMESPACE}-try")
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


@contextlib.contextmanager
def _small_disk(place: Path, size: str) -> Iterator[None]:
    place.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    is_mounted = (
        os.geteuid() == 0
        and not subprocess.run(mount, check=False, capture_output=True).returncode
    )
    try:
        yield
    finally:
        if is_mounted:
            subprocess.run(["umount", "-l", str(place)], check=False)


@asynccontextmanager
async def running(root: Path) -> AsyncIterator[System]:
    """Start everything; stop everything."""
    async with AsyncExitStack() as stack:
        port = free_port()
        for disk, size in (("server-disk", "256m"), ("w1-disk", "96m")):
            stack.enter_context(_small_disk(root / disk, size))
        data = root / "server-disk" / "data"
        server = Program(
            "server",
            root / "server",
            [
                "jobs_grpc.controlplane",
                "--addr",
                f"127.0.0.1:{port}",
                "--data",
                str(data),
            ],
        )
        system = System(root, f"127.0.0.1:{port}", server)
        system.witness.touch()
        await server.start()
        stack.push_async_callback(server.stop)
        for name in ("w1", "w2"):
            relay = Relay("127.0.0.1", port)
            system.relays[name] = relay
            address = await relay.open()
            stack.push_async_callback(relay.close)
            await _start_worker(stack, system, name, address)
        if _can_isolate():
            address, prefix = await stack.enter_async_context(_far_side(port))
            await _start_worker(stack, system, "w3", address, prefix=prefix)
            system.has_far = True
        yield system


async def _start_worker(
    stack: AsyncExitStack,
    system: System,
    name: str,
    address: str,
    *,
    prefix: tuple[str, ...] = (),
) -> None:
    place = system.root / f"{name}-disk" / name
    place.mkdir(parents=True)
    arguments = [
        *("jobs_grpc.worker", "--addr", address, "--name", name),
        *("--slots", str(SLOTS), "--label", f"host={name}", "--data", str(place)),
        *("--functions", str(HERE / "functions.py")),
    ]
    program = Program(name, place, arguments, prefix=prefix)
    system.workers[name] = program
    await program.start()

    async def end() -> None:
        await program.stop()
        keeper = system.keeper_pid(name)
        if keeper is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(keeper, signal.SIGTERM)

    stack.push_async_callback(end)
