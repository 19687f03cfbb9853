"""Fail if the contract breaks what is released, judged by `buf breaking`.

The base is the last commit on `main` before this one that has protos, or the tag given in
`CONTRACT_BASE`. In a shallow or fresh clone without history there is nothing to break.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def base() -> str | None:
    """Return the commit to compare with: the newest tag, if there is one."""
    given = os.environ.get("CONTRACT_BASE")
    if given:
        return given
    found = subprocess.run(
        ["git", "describe", "--tags", "--abbrev=0"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or None


def main() -> int:
    """Return the exit code of the comparison."""
    commit = base()
    if commit is None:
        print("contract: nothing is released yet, so nothing can break")
        return 0
    buf = shutil.which("buf") or str(Path(sys.executable).parent / "buf")
    against = f".git#ref={commit}"
    return subprocess.run(
        [buf, "breaking", "--against", against], cwd=ROOT, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
