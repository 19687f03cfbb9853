"""Bad input gets one clear message, the right exit code, and changes nothing."""

from __future__ import annotations

import http.server
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.installed import Installed, free_port

pytestmark = pytest.mark.acceptance

FINE = '{"name": "fine", "command": "true"}'
# Name, file name, content, what the message must say.
BROKEN = [
    ("broken JSON", "a.json", '{"name": "a",', "a.json:1:"),
    ("broken YAML", "a.yaml", "name: a\n command: x: y\n", "a.yaml:2:"),
    (
        "unknown key",
        "a.yaml",
        "name: a\ncommand: x\nschedul: '* * * * *'\n",
        "schedule",
    ),
    (
        "wrong cron",
        "a.yaml",
        "name: a\ncommand: x\nschedule: '0 25 * * *'\n",
        "hour",
    ),
    ("unknown queue", "a.yaml", "name: a\ncommand: x\nqueue: fast\n", "fast"),
    (
        "unknown zone",
        "a.yaml",
        "name: a\ncommand: x\nschedule: '0 1 * * *'\ntimezone: Europe/Berln\n",
        "Europe/Berlin",
    ),
    (
        "two kinds of schedule",
        "a.yaml",
        "name: a\ncommand: x\nschedule: {cron: '* * * * *', every: 5m}\n",
        "every",
    ),
    ("negative timeout", "a.yaml", "name: a\ncommand: x\ntimeout: -1\n", "timeout"),
    ("a path for a name", "a.yaml", "name: ../a\ncommand: x\n", "name"),
    (
        "not built yet",
        "a.yaml",
        "name: a\ncommand: x\nuser: root\n",
        "not supported yet",
    ),
]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    product = Installed(tmp_path_factory.mktemp("bad"))
    product.start_server()
    yield product
    product.stop()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [one[1:] for one in BROKEN],
    ids=[one[0] for one in BROKEN],
)
def test_a_bad_file_is_refused_and_nothing_changes(
    shared: Installed, tmp_path: Path, name: str, content: str, said: str
) -> None:
    (tmp_path / name).write_text(content)
    (tmp_path / "fine.json").write_text(FINE)
    refused = shared.cli("apply", "-f", str(tmp_path), code=7)
    assert said in refused.stderr
    assert shared.json("job", "list")["data"] == []


def test_a_duplicate_name_names_both_places(shared: Installed, tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(FINE)
    (tmp_path / "two.json").write_text(FINE)
    refused = shared.cli("apply", "-f", str(tmp_path), code=7)
    assert "one.json" in refused.stderr
    assert "two.json" in refused.stderr


def test_a_file_of_10_mb_and_one_of_another_encoding(
    shared: Installed, tmp_path: Path
) -> None:
    huge = tmp_path / "huge.yaml"
    huge.write_text("name: a\ncommand: " + "x" * 10_000_000)
    assert "huge.yaml" in shared.cli("apply", "-f", str(huge), code=7).stderr
    odd = tmp_path / "odd.yaml"
    odd.write_text("name: a\ncommand: echo grüße\n", encoding="utf-16")
    assert "UTF-8" in shared.cli("apply", "-f", str(odd), code=7).stderr


def test_an_unknown_job_is_told_with_a_suggestion(shared: Installed) -> None:
    shared.cli("apply", "-f", "-", stdin='{"name": "backup", "command": "true"}')
    refused = shared.cli("run", "bakcup", code=3)
    assert "backup" in refused.stderr
    shared.cli("job", "delete", "backup", "-y")


def test_an_unreachable_server_is_told_in_one_line(installed: Installed) -> None:
    refused = installed.cli("list", code=6)
    assert installed.address in refused.stderr


def test_a_port_that_speaks_http_is_told(installed: Installed) -> None:
    web = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), http.server.BaseHTTPRequestHandler
    )
    thread = threading.Thread(target=web.serve_forever)
    thread.start()
    try:
        refused = installed.cli(
            "--addr", f"127.0.0.1:{web.server_port}", "list", code=6
        )
    finally:
        web.shutdown()
        thread.join()
        web.server_close()
    assert str(web.server_port) in refused.stderr


def test_a_second_server_on_the_same_data_is_refused(shared: Installed) -> None:
    refused = shared.cli(
        *("server", "--data", "server", "--addr", f"127.0.0.1:{free_port()}"), code=1
    )
    assert "in use" in refused.stderr


def test_a_newer_data_directory_is_refused(installed: Installed) -> None:
    server = installed.start_server()
    server.terminate()
    assert server.wait(timeout=10) == 0
    with sqlite3.connect(installed.root / "server/jobs.db") as database:
        database.execute("insert into migrations values (9999, 'later', 'x')")
    database.close()
    refused = installed.cli("server", "--data", "server", code=1)
    assert "newer" in refused.stderr


def test_10_000_files_are_applied_by_one_command(
    shared: Installed, tmp_path: Path
) -> None:
    for number in range(10_000):
        job = {
            "name": f"job-{number:05}",
            "command": ["echo", str(number)],
            "schedule": f"{number % 60} {number % 24} * * *",
        }
        (tmp_path / f"{number:05}.json").write_text(json.dumps(job))
    before = time.monotonic()
    first = shared.cli("apply", "-f", str(tmp_path))
    elapsed = time.monotonic() - before
    assert first.stdout.count("created") == 10_000
    # The promise is 30 s; a loaded machine gets twice that before this test says so.
    assert elapsed < 60
    again = shared.cli("apply", "-f", str(tmp_path))
    assert again.stdout.count("unchanged") == 10_000
