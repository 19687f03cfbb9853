"""The environment of a job process: an allow-list, never the daemon's own.

Whatever the daemon was started with (tokens, a service manager's variables, an
operator's shell) is nobody's business in a job. A job sees, in this order, later ones
winning: a few ordinary variables, what identifies the attempt, its params, and what the
job itself declares.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Mapping
from typing import Final

from jobs_grpc.runtime.clock import to_datetime
from jobs_grpc.worker.work import Lease

PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# These two say how the host speaks and what time it is there; nothing else is inherited.
_INHERITED: Final = ("LANG", "TZ")
_NOT_IN_A_NAME: Final = re.compile(r"[^A-Z0-9_]")


def ordinary(daemon: Mapping[str, str]) -> dict[str, str]:
    """Return what every job on this host gets; `daemon` is the daemon's environment."""
    found = {"PATH": PATH, "SHELL": "/bin/sh", "LANG": "C.UTF-8"}
    try:
        user = pwd.getpwuid(os.getuid())
    except KeyError:  # a container may run as a user that nobody has named
        found["HOME"] = "/"
    else:
        found["HOME"] = user.pw_dir
        found["USER"] = found["LOGNAME"] = user.pw_name
    for name in _INHERITED:
        if daemon.get(name):
            found[name] = daemon[name]
    return found


def environment(
    lease: Lease, *, base: Mapping[str, str], output_dir: str
) -> dict[str, str]:
    """Return the whole environment of one attempt.

    The keeper adds `JOBS_FENCE` (it finds the processes of the attempt by it).
    """
    found = dict(base)
    found["JOB_NAME"] = lease.job
    found["WORKSPACE_ID"] = lease.workspace
    found["JOBS_EXECUTION_ID"] = lease.execution_id
    found["JOBS_ATTEMPT"] = str(lease.attempt)
    found["JOBS_FENCE"] = str(lease.fence)
    found["JOBS_OUTPUT_DIR"] = output_dir
    if lease.scheduled_for is not None:
        found["JOBS_SCHEDULED_FOR"] = rfc3339(lease.scheduled_for)
    if lease.traceparent:
        found["TRACEPARENT"] = lease.traceparent
    for name, value in lease.params.items():
        found[f"JOBS_PARAM_{param_name(name)}"] = value
    found.update(lease.environment)
    # A job may say anything else about itself, but not pass for another attempt.
    found["JOBS_FENCE"] = str(lease.fence)
    return found


def param_name(name: str) -> str:
    """Return a param's name as part of a variable's name."""
    return _NOT_IN_A_NAME.sub("_", name.upper())


def rfc3339(instant: int) -> str:
    """Return an instant as `2026-01-31T09:00:00Z`, with a fraction where it has one."""
    return to_datetime(instant).isoformat().replace("+00:00", "Z")
