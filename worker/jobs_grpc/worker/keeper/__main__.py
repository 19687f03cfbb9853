"""``python -m jobs_grpc.worker.keeper --root DIR``: become the keeper of a directory.

Started by the session process (`keeper_link.py`), in its own session, with its output in
``keeper.log``. Ends by itself when it was idle and alone for a while; SIGTERM ends all
jobs by their ladders first. Exit codes: 0 done, 2 wrong arguments, 3 another keeper serves
the directory, 4 its disk has no room to begin.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import errno
import gc
import logging
import os
import sys
from pathlib import Path
from typing import Final

from jobs_grpc.worker.keeper.keeper import Keeper
from jobs_grpc.worker.keeper.memory.root import Root, RootTakenError

TAKEN: Final = 3
NO_ROOM: Final = 4
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_PR_SET_CHILD_SUBREAPER: Final = 36

logger = logging.getLogger("jobs_grpc.worker.keeper")


def main(arguments: list[str] | None = None) -> int:
    """Serve one root; return the exit code."""
    options = _parser().parse_args(arguments)
    _close_inherited()
    logging.basicConfig(
        format="%(asctime)s keeper %(process)d %(levelname)s %(message)s"
    )
    root = Root(options.root)
    try:
        root.take()
    except RootTakenError as error:
        logger.error("%s", error)
        return TAKEN
    except OSError as error:
        return _cannot_begin(root, error)
    _become_subreaper()
    try:
        keeper = Keeper(root, idle_exit_seconds=options.idle_exit)
    except OSError as error:
        return _cannot_begin(root, error)
    # What lives now lives for ever, and attempts make no cycles: collect seldom.
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    keeper.run()
    return 0


def _cannot_begin(root: Root, error: OSError) -> int:
    """Say why; a full disk by the exit code, for the log is on the same disk."""
    if error.errno in _FULL:
        return NO_ROOM
    logger.error("cannot begin in %s: %s", root.path, error)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="jobs-grpc-keeper", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--idle-exit",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="leave after so long without a session and an attempt (default 600)",
    )
    return parser


def _close_inherited() -> None:
    """Close what our parent left open, lest we and all jobs hold it for ever."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names are enough
        if int(name) > sys.stderr.fileno():
            with contextlib.suppress(OSError):
                os.close(int(name))


def _become_subreaper() -> None:
    """Make the kernel give us the orphans of our descendants."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, "this kernel cannot make the keeper a subreaper")


if __name__ == "__main__":
    sys.exit(main())
