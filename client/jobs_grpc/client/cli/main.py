"""The program `jobs-grpc`: its commands, and what happens at its end."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final

import click

from jobs_grpc.client._version import VERSION
from jobs_grpc.client.cli.lazy import Entry, LazyGroup, PipeClosed

_HOME: Final = "jobs_grpc.client.cli.commands"
_DAEMONS: Final = "jobs_grpc.client.cli.daemons"

ENTRIES: Final = {
    "dev": Entry(
        f"{_DAEMONS}.dev:dev",
        "Start a server and one worker on this machine, to try things out.",
    ),
    "apply": Entry(
        f"{_HOME}.apply:apply",
        "Create or update jobs from files; those that are the same are left alone.",
    ),
    "diff": Entry(
        f"{_HOME}.diff:diff",
        "Show what applying files would change: keys, due times, collisions, workers.",
    ),
    "list": Entry(
        f"{_HOME}.job:list_jobs", "List jobs: type, schedule, next run, last state."
    ),
    "status": Entry(
        f"{_HOME}.status:status",
        "Show counters, last and next run of one job, or a line for every job.",
    ),
    "run": Entry(
        f"{_HOME}.run:run", "Run a stored job, a function, or a command line after --."
    ),
    "kill": Entry(
        f"{_HOME}.kill:kill",
        "End a run, or every run of a job: the whole process tree.",
    ),
    "logs": Entry(
        f"{_HOME}.logs:logs",
        "Print the output of a run, or of the latest run of a job, byte for byte.",
    ),
    "explain": Entry(
        f"{_HOME}.explain:explain",
        "Say why a job ran, or did not, at some time, or whether it will.",
    ),
    "pause": Entry(
        f"{_HOME}.pause:pause",
        "Let schedules start nothing, or a queue lease nothing; `pause list` shows pauses.",
    ),
    "resume": Entry(
        f"{_HOME}.pause:resume",
        "End the pauses of a job, a schedule, a queue, a workspace, a namespace or of all.",
    ),
    "job": Entry(f"{_HOME}.job:job", "Look after job definitions."),
    "execution": Entry(f"{_HOME}.execution:execution", "Look after runs (short: ex)."),
    "ex": Entry(
        f"{_HOME}.execution:execution", "Look after runs (short: ex).", is_hidden=True
    ),
    "dead-letter": Entry(
        f"{_HOME}.dead_letter:dead_letter", "Look after runs that failed for good."
    ),
    "schedule": Entry(
        f"{_HOME}.schedule:schedule",
        "Look after schedules, preview them, and see what became of due times.",
    ),
    "simulate": Entry(
        f"{_DAEMONS}.become:simulate",
        "Run job files on virtual time: timeline, collisions, waits, a picture.",
    ),
    "import": Entry(
        f"{_HOME}.importing:import_",
        "Make job files of crontabs, systemd timers or Kubernetes CronJobs.",
    ),
    "breaker": Entry(
        f"{_HOME}.breaker:breaker",
        "Look after circuit breakers: what keeps failing is left alone.",
    ),
    "backfill": Entry(
        f"{_HOME}.backfill:backfill", "Run a job for due times of the past."
    ),
    "queue": Entry(f"{_HOME}.fleet:queue", "Show the waiting lines."),
    "worker": Entry(
        f"{_DAEMONS}.become:worker",
        "Start a worker; `worker list` shows those that are there.",
    ),
    "server": Entry(f"{_DAEMONS}.become:server", "Start a server."),
    "completion": Entry(
        f"{_HOME}.completion:completion", "Print the completion script of a shell."
    ),
    "version": Entry(
        f"{_HOME}.version:version",
        "Print the version of this program, and of the server.",
    ),
}


@click.group(
    cls=LazyGroup,
    entries=ENTRIES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(VERSION, "-V", "--version", message="jobs-grpc %(version)s")
def cli() -> None:
    """Schedule jobs and run them on a fleet of workers.

    Three commands to begin with: `jobs-grpc dev` in one terminal, and in another
    `jobs-grpc run --follow -- echo hello` and `jobs-grpc list`.
    """


def main() -> None:
    """Run the program as a process."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code."""
    try:
        code = cli.main(list(arguments), prog_name="jobs-grpc", standalone_mode=False)
        sys.stdout.flush()
    except (PipeClosed, BrokenPipeError):
        return _end_quietly()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last handler
        from jobs_grpc.client.cli.failures import report

        return report(error, arguments)
    return code if isinstance(code, int) else 0


def _end_quietly() -> int:
    """End like any other tool in front of `| head`: without a word, code 128 + SIGPIPE.

    (To let the signal end us, as those do, is not for us: gRPC's own pipes raise it too.)
    """
    # What is still buffered must not fail when the interpreter ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141
