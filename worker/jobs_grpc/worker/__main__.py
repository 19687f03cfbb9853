"""`python -m jobs_grpc.worker`: the worker daemon."""

from __future__ import annotations

import os
import sys

from jobs_grpc.worker.config import SettingsError, read_settings
from jobs_grpc.worker.functions.catalogue import CatalogueError
from jobs_grpc.worker.identity import DirectoryTakenError, DirectoryUnusableError
from jobs_grpc.worker.keeper_link import KeeperError
from jobs_grpc.worker.worker import Worker

# As everywhere in the product: 1 other error, 2 usage, 5 conflict.
FAILED, USAGE, CONFLICT = 1, 2, 5


def main() -> int:
    """Run the daemon; return the exit code of the program."""
    try:
        worker = Worker(settings=read_settings(sys.argv[1:], os.environ))
    except (SettingsError, CatalogueError) as error:
        return _fail(str(error), USAGE)
    try:
        worker.run()
    except DirectoryTakenError as error:
        return _fail(str(error), CONFLICT)
    except DirectoryUnusableError as error:
        return _fail(str(error), FAILED)
    except KeeperError as error:
        # The rest, if there is one, is the end of the keeper's log.
        print(f"error: {error}".rstrip(), file=sys.stderr)
        return FAILED
    return 0


def _fail(problem: str, code: int) -> int:
    for line in problem.splitlines():
        print(f"error: {line}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
