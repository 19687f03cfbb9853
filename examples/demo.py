"""`make demo`: the examples of this folder, run for you until Ctrl-C.

It starts `jobs-grpc dev` on a temporary directory, lists the jobs of the folder, runs one
of them by hand and follows another one live. DEMO_SECONDS=20 makes it end by itself.
Everything it does is done with the command line that you would type.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
CLI = str(Path(sys.executable).parent / "jobs-grpc")


def say(text: str) -> None:
    """Print a line of the demo's own."""
    print(
        f"\n\033[1m── {text}\033[0m" if sys.stdout.isatty() else f"\n── {text}",
        flush=True,
    )


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Demo:
    """A dev server and the commands typed beside it."""

    def __init__(self, folder: Path) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self.environment = {**os.environ, "JOBS_GRPC_ADDR": self.address}
        self.log = folder / "dev.log"
        self.ending = threading.Event()
        with self.log.open("wb") as log:
            self.dev = subprocess.Popen(
                [
                    *(
                        CLI,
                        "dev",
                        "--addr",
                        self.address,
                        "--data",
                        str(folder / "data"),
                    ),
                    *("--jobs", str(HERE)),
                    *("--functions", str(HERE / "functions/greetings.py")),
                ],
                stdout=log,
                stderr=log,
                # Ctrl-C is for this program, which ends the server itself.
                start_new_session=True,
            )

    def wait_until_ready(self) -> bool:
        """Return whether the server came up."""
        for _ in range(300):
            if "Ctrl-C ends it" in self.log.read_text():
                return True
            if self.dev.poll() is not None:
                return False
            time.sleep(0.1)
        return False

    def type(self, *words: str) -> int:
        """Show a command and run it."""
        say("$ jobs-grpc " + " ".join(words))
        return self._run(words)

    def follow(self, job: str) -> None:
        """Show the output of a job, run after run, until the demo ends."""
        say(f"$ jobs-grpc logs -f {job}    # again for every run")
        shown = ""
        while not self.ending.is_set():
            latest = self._latest(job)
            if latest == shown:
                self.ending.wait(0.3)
            else:
                self._run(["logs", "-f", latest])
                shown = latest

    def _latest(self, job: str) -> str:
        return subprocess.run(
            [CLI, "execution", "list", "--job", job, "--limit", "1", "-o", "name"],
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
            start_new_session=True,
        ).stdout.strip()

    def stop(self) -> int:
        """End the server; return its exit code."""
        self.ending.set()
        if self.dev.poll() is None:
            self.dev.send_signal(signal.SIGINT)
        return self.dev.wait(timeout=20)

    def _run(self, words: Sequence[str]) -> int:
        return subprocess.run(
            [CLI, *words], env=self.environment, check=False, start_new_session=True
        ).returncode


def main() -> int:
    """Run the demo; return 0 if it did what it says."""
    seconds = float(os.environ.get("DEMO_SECONDS", "0"))
    deadline = time.monotonic() + seconds if seconds else None
    stop = threading.Event()
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, lambda *_: stop.set())
    with tempfile.TemporaryDirectory(prefix="jobs-grpc-demo-") as folder:
        demo = Demo(Path(folder))
        say(f"a server and a worker start at {demo.address}; jobs come from {HERE}")
        if not demo.wait_until_ready():
            print(demo.log.read_text(), file=sys.stderr)
            demo.stop()
            return 1
        demo.type("list")
        print(
            "\nheartbeat, greet and post-deploy-check run every few seconds. system-health"
            "\nis run by hand now. cleanup-temp and backup-configs wait for the night: they"
            "\ndelete old files in /tmp and write to /var/backups, so this demo does not"
            "\nrun them on your machine; `jobs-grpc run cleanup-temp` would."
        )
        code = demo.type("run", "system-health", "--follow")
        follower = threading.Thread(target=demo.follow, args=("heartbeat",))
        follower.start()
        while not stop.wait(0.1) and demo.dev.poll() is None:
            if deadline is not None and time.monotonic() > deadline:
                break
        demo.ending.set()
        follower.join()
        demo.type("status", "greet")
        demo.type("execution", "list", "--limit", "8")
        ended = demo.stop()
        say("the server, the worker and everything they ran have ended")
    return code or (0 if ended in {0, 130} else 1)


if __name__ == "__main__":
    sys.exit(main())
