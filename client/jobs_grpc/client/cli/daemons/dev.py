"""`dev`: everything on this machine, to try it out."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jobs_grpc.client._errors import InvalidArgument, JobsError
from jobs_grpc.client._settings import checked_address
from jobs_grpc.client._version import VERSION
from jobs_grpc.client.cli.daemons.become import SERVER, WORKER, check_extra
from jobs_grpc.client.cli.daemons.children import Child, stop
from jobs_grpc.client.cli.display.printing import note
from jobs_grpc.client.cli.exits import Exit
from jobs_grpc.client.cli.failures import Failure
from jobs_grpc.client.cli.options import Command, Settings, pass_settings
from jobs_grpc.runtime.tasks import Supervisor
from jobs_grpc.wire.channel import DEFAULT_ADDRESS

if TYPE_CHECKING:
    from jobs_grpc.client._client import Client

# A cold start of both daemons takes two seconds on a slow machine.
_READY_SECONDS = 60.0
_LOOK_AGAIN_SECONDS = 0.05
_LAST_WORDS_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to start, and where."""

    address: str
    data: Path
    jobs: Path | None
    slots: int | None
    functions: tuple[str, ...]
    keeps_data: bool

    def server_arguments(self) -> list[str]:
        arguments = ["--data", str(self.data / "server"), "--addr", self.address]
        if self.jobs is not None:
            arguments += ["--jobs", str(self.jobs)]
        return arguments

    def worker_arguments(self) -> list[str]:
        arguments = ["--data", str(self.data / "worker"), "--addr", self.address]
        # It ends its jobs and its keeper when it ends itself.
        arguments += ["--ephemeral"]
        if self.slots is not None:
            arguments += ["--slots", str(self.slots)]
        for module in self.functions:
            arguments += ["--functions", module]
        return arguments


@click.command(cls=Command)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep everything here; without it, in a folder that is removed at the end.",
)
@click.option(
    "--jobs",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Watch this folder of job files.",
)
@click.option("--slots", type=click.IntRange(min=1), help="How many runs at a time.")
@click.option(
    "--functions",
    multiple=True,
    metavar="MODULE",
    help="A Python module with functions for the worker; may be repeated.",
)
@pass_settings
def dev(
    settings: Settings,
    data: Path | None,
    jobs: Path | None,
    slots: int | None,
    functions: tuple[str, ...],
) -> int:
    """Start a server and one worker on this machine, to try things out.

    Ctrl-C ends both, and every run with them. Not for production: use `server` and
    `worker` there.
    """
    check_extra("server", SERVER)
    check_extra("worker", WORKER)
    with ExitStack() as stack:
        if data is None:
            folder = Path(
                stack.enter_context(
                    tempfile.TemporaryDirectory(
                        prefix="jobs-grpc-dev-", ignore_cleanup_errors=True
                    )
                )
            )
        else:
            data.mkdir(parents=True, exist_ok=True)
            folder = data.resolve()
        plan = Plan(
            address=_free_address(settings.addr),
            data=folder,
            jobs=jobs,
            slots=slots,
            functions=functions,
            keeps_data=data is not None,
        )
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        return asyncio.run(_Dev(plan).run())


class _Dev:
    """One life of the pair: start, be ready, wait for the end, stop."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._asked_to_end = asyncio.Event()

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._asked_to_end.set)
        server = Child("server", SERVER, self._plan.server_arguments())
        worker = Child("worker", WORKER, self._plan.worker_arguments())
        try:
            dead = await self._live(server, worker)
        finally:
            await stop([server, worker])
        if dead is None:
            return Exit.DONE
        _mourn(dead)
        return Exit.OTHER

    async def _live(self, server: Child, worker: Child) -> Child | None:
        """Return when asked to end, or with the child that ended first."""
        children = (server, worker)
        async with Supervisor() as tasks:
            sayings = [
                tasks.start(child.forward(), name=f"what the {child.name} says")
                for child in children
            ]
            deaths = [
                tasks.start(child.ended(), name=f"the end of the {child.name}")
                for child in children
            ]
            end = tasks.start(self._asked_to_end.wait(), name="asked to end")
            ready = tasks.start(self._become_ready(server, worker), name="ready")
            await _first_of(ready, end, *deaths)
            dead = None
            if ready.done():
                if ready.result():
                    self._greet()
                    await _first_of(end, *deaths)
                else:
                    note(f"error: not ready after {_READY_SECONDS:.0f} s")
                    dead = children[0]
            if not end.done() and dead is None:
                pairs = zip(children, deaths, strict=True)
                dead = next(child for child, death in pairs if death.done())
            # Their last words are passed on too.
            await stop(children)
            await asyncio.wait(sayings, timeout=_LAST_WORDS_SECONDS)
        return dead

    async def _become_ready(self, server: Child, worker: Child) -> bool:
        """Start both, the worker when the server answers; return whether they do."""
        from jobs_grpc.client._client import Client

        await server.start()
        try:
            async with asyncio.timeout(_READY_SECONDS):
                await _until(partial(_is_listening, self._plan.address))
                async with Client(self._plan.address, retry=False, timeout=5) as client:
                    await _until(partial(_answers, client))
                    await worker.start()
                    await _until(partial(_has_worker, client))
        except TimeoutError:
            return False
        return True

    def _greet(self) -> None:
        address = self._plan.address
        where = "" if address == DEFAULT_ADDRESS else f" --addr {address}"
        kept = "" if self._plan.keeps_data else " (removed at the end)"
        click.echo(f"jobs-grpc {VERSION} is ready at {address}. Not for production.")
        click.echo(f"data: {self._plan.data}{kept}")
        if self._plan.jobs is not None:
            click.echo(f"jobs: {self._plan.jobs} (watched)")
        click.echo("try in another terminal:")
        click.echo(f"  jobs-grpc{where} run --follow -- echo hello")
        click.echo(f"  jobs-grpc{where} list")
        click.echo("Ctrl-C ends it.")
        sys.stdout.flush()


async def _first_of(*tasks: asyncio.Task[Any]) -> None:
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    # Before there is a server nothing announces that there is one.
    while not await holds():  # noqa: ASYNC110
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)


async def _is_listening(address: str) -> bool:
    # A gRPC channel that finds nobody waits longer and longer before it looks again.
    host, _, port = address.rpartition(":")
    try:
        _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except OSError:
        return False
    writer.close()
    return True


async def _answers(client: Client) -> bool:
    try:
        await client.info()
    except JobsError:
        return False
    return True


async def _has_worker(client: Client) -> bool:
    from jobs_grpc.client.records.fleet import WorkerState

    try:
        workers = await client.workers.list()
    except JobsError:
        return False
    return any(one.state is WorkerState.ONLINE for one in workers)


def _mourn(child: Child) -> None:
    note(f"\nerror: the {child.name} ended with exit code {child.returncode}; it said:")
    for line in child.last_lines:
        note(f"  {line.decode(errors='replace')}")


def _free_address(address: str) -> str:
    """Return the address, with a free port for port 0; refuse one that is in use."""
    host, _, port = address.rpartition(":")
    if port != "0":
        try:
            address = checked_address(address)
        except InvalidArgument as error:
            raise Failure(error.message, Exit.USAGE, error.hint) from None
        host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, int(port)))
            free = probe.getsockname()[1]
    except OSError as error:
        raise Failure(
            f"cannot listen on {address}: {error.strerror or error}",
            Exit.OTHER,
            "is another `jobs-grpc dev` running? --addr 127.0.0.1:0 takes a free port",
        ) from None
    return f"[{host}]:{free}" if ":" in host else f"{host}:{free}"
