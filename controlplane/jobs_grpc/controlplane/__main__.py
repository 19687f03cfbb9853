"""`python -m jobs_grpc.controlplane`: the server process, or `simulate`."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import sys

# gRPC must not touch forks; nothing here forks, and its handlers only warn.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")


def main() -> int:
    """Run a server, or what its first word names; return the exit code."""
    if sys.argv[1:2] == ["simulate"]:
        from jobs_grpc.controlplane.simulation.command import simulate

        return simulate(sys.argv[2:])
    try:
        import uvloop

        from jobs_grpc.controlplane.app import ControlPlane
        from jobs_grpc.controlplane.rpc.server import AddressInUseError
        from jobs_grpc.controlplane.storage.store import StoreError
        from jobs_grpc.controlplane.telemetry import configure_logging
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("jobs_grpc"):
            raise
        print(
            f'error: the server needs the extra "server" ({error.name} is missing):'
            " pip install 'jobs-grpc[server]'",
            file=sys.stderr,
        )
        return 1
    from jobs_grpc.controlplane.config import SettingsError, from_process

    try:
        settings = from_process(sys.argv[1:])
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    configure_logging(
        json_lines=settings.log_format == "json",
        level=logging.getLevelNamesMapping()[settings.log_level.upper()],
    )

    # A server makes and drops tuples by the million; the cycles that the collector is
    # for are rare here. What start-up made stays, and is not looked at again.
    # The database's thread asks for the interpreter after every statement. At the usual
    # 5 ms a turn, a commit of thirty statements waits longer than it works.
    sys.setswitchinterval(0.0001)
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    _allow_many_files()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(ControlPlane.serve(settings))
    except (StoreError, AddressInUseError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _allow_many_files() -> None:
    """A worker is a connection; the usual soft limit of 1,024 would turn some away."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
