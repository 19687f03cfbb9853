"""`make chaos`: faults for some minutes, a verdict, a table and a picture."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from chaos.report import picture, table
from chaos.run import run
from chaos.verdict import judge

RESULTS = Path(__file__).resolve().parents[2] / "chaos-results"


def main() -> int:
    """Return 1 if a promise was broken, or a fault could not be brought about."""
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--minutes", type=float, default=9.0, help="no fault begins later"
    )
    parser.add_argument("--times", type=int, default=5, help="kills at each point")
    parser.add_argument("--only", default="", help="faults whose name has this in it")
    parser.add_argument("--keep", action="store_true", help="keep data and logs")
    chosen = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="jobs-grpc-chaos-"))
    print(f"data and logs: {root}", file=sys.stderr)
    history = asyncio.run(
        run(
            root,
            seed=chosen.seed,
            minutes=chosen.minutes,
            times=chosen.times,
            only=chosen.only,
        )
    )
    violations = judge(history)
    RESULTS.mkdir(exist_ok=True)
    history.save(RESULTS / "history.json")
    text = table(history, violations)
    (RESULTS / "table.txt").write_text(text + "\n")
    (RESULTS / "timeline.svg").write_text(picture(history))
    print(text)
    print(f"history, table and timeline.svg: {RESULTS}")
    is_clean = not violations and not history.misfires
    if is_clean and not chosen.keep:
        shutil.rmtree(root, ignore_errors=True)
    return 0 if is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
