"""What README tells newcomers to type does what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from support.installed import Installed

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_python_of_the_readme_runs(system: Installed) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "JOBS_GRPC_ADDR": system.address},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert "hello" in lines[0]
    assert lines[-1] == "succeeded"
