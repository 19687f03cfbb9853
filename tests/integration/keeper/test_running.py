"""What a job sees, and what is known of it when it has ended."""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from integration.keeper.house import ENVIRONMENT, House, peak_memory_kb, until
from jobs_grpc.worker.keeper.protocol import StartFailed, StartRequest
from jobs_grpc.worker.keeper.record import Outcome
from jobs_grpc.worker.keeper.spool import (
    Stream,
)
from support.small_disk import fill, small_disk


@pytest.mark.parametrize("code", [0, 1, 3, 255])
async def test_an_exit_code_is_recorded(house: House, code: int) -> None:
    link = await house.open()
    record = await house.run(link, house.script(f"exit {code}"))
    assert (record.outcome, record.exit_code, record.signal) == ("exited", code, None)
    assert record.started_at_us is not None
    assert record.started_at_us <= record.finished_at_us
    assert record.receipt.signals == ()


async def test_a_signal_is_recorded(house: House) -> None:
    link = await house.open()
    record = await house.run(link, house.script("kill -SEGV $$"))
    assert (record.outcome, record.exit_code, record.signal) == (
        "signaled",
        None,
        "SEGV",
    )


async def test_use_of_cpu_and_memory_is_recorded_with_that_of_children(
    house: House,
) -> None:
    link = await house.open()
    text = "b = bytearray(60_000_000)\nfor _ in range(2_000_000): pass"
    record = await house.run(
        link, house.script(f'/usr/bin/env python3 -c "{text}"; exit 0')
    )
    assert record.exit_code == 0
    assert record.peak_memory_bytes > 60_000_000
    assert record.cpu_user_us > 10_000


async def test_standard_output_and_error_are_told_apart_and_in_order(
    house: House,
) -> None:
    link = await house.open()
    wait = "until [ -e {0} ]; do sleep 0.01; done"
    request = house.script(
        f"echo one; {wait.format('one')}; echo two >&2; {wait.format('two')}; echo three"
    )
    await link.start(request)
    for word in ("one", "two"):
        await house.until_output(link, request.fence, word.encode())
        (house.files / word).touch()
    record = await house.end_of(link, request.fence)
    frames = house.frames(request.fence)
    assert [(frame.stream, frame.payload) for frame in frames] == [
        (Stream.STDOUT, b"one\n"),
        (Stream.STDERR, b"two\n"),
        (Stream.STDOUT, b"three\n"),
    ]
    times = [frame.time_us for frame in frames]
    assert [record.started_at_us, *times, record.finished_at_us] == sorted(
        [record.started_at_us or 0, *times, record.finished_at_us]
    )
    assert record.output_bytes == 14


async def test_fifty_megabytes_arrive_byte_for_byte_in_bounded_memory(
    own_house: House,
) -> None:
    link = await own_house.open()
    data = os.urandom(1 << 20) * 50
    (own_house.files / "data").write_bytes(data)
    record = await own_house.run(link, own_house.request("cat", "data"))
    assert record.output_bytes == len(data)
    found = hashlib.sha256(own_house.output(record.fence, Stream.STDOUT))
    assert found.hexdigest() == hashlib.sha256(data).hexdigest()
    assert peak_memory_kb(link.welcome.pid) < 40_000


async def test_output_beyond_the_limit_is_dropped_visibly_and_never_blocks(
    house: House,
) -> None:
    link = await house.open()
    text = "echo first; head -c 1000000 /dev/zero; echo last"
    request = house.script(text, output_limit_bytes=1000)
    record = await house.run(link, request)
    assert (record.exit_code, record.output_dropped) == (0, 1_000_011 - 1000)
    kept = house.output(record.fence, Stream.STDOUT)
    assert kept.startswith(b"first\n" + bytes(494))
    assert kept.endswith(bytes(495) + b"last\n")
    words = house.output(record.fence, Stream.SYSTEM)
    assert words == (
        b"[output limit of 1000 bytes reached; 999011 bytes dropped after the first"
        b" 500]\n"
    )
    assert record.output_bytes == 1_000_011 + len(words)


async def test_a_full_disk_drops_output_visibly_and_results_are_kept_all_the_same(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "disk", size="8m") as disk:
        # Half of it is the journal's, from the beginning.
        house, go = House(disk / "keeper", tmp_path), tmp_path / "go"
        flooded = tmp_path / "flooded"
        link = await house.open()
        spare = disk / "spare"
        spare.write_bytes(bytes(500_000))
        flood = house.script(
            f"head -c 9000000 /dev/zero; touch {flooded};"
            f" until [ -e {go} ]; do sleep 0.02; done;"
            " echo after; exit 7"
        )
        await link.start(flood)
        await until(lambda: shutil.disk_usage(disk).free < 300_000)
        ballast = fill(disk)
        other = await house.run(link, house.script("echo unheard; exit 5"))
        assert (other.exit_code, other.output_dropped) == (5, 8)
        await until(flooded.exists)
        ballast.unlink()
        spare.unlink()
        go.touch()
        record = await house.end_of(link, flood.fence)
        assert record.exit_code == 7
        assert record.output_dropped > 3_000_000
        words = house.output(flood.fence, Stream.SYSTEM)
        assert words.endswith(b"bytes of output lost: No space left on device]\n")
        assert words.count(b"\n") == 1, "one full disk, one remark"
        kept = house.output(flood.fence, Stream.STDOUT)
        assert len(kept) + record.output_dropped == 9_000_006
        assert kept.endswith(b"after\n")
        assert record.output_bytes == len(kept) + len(words)
        await house.leave()


async def test_a_job_sees_its_own_environment_and_nothing_else(house: House) -> None:
    link = await house.open()
    request = house.request("env", env=ENVIRONMENT | {"ODD": "\udcff=\n"})
    await house.run(link, request)
    seen = house.output(request.fence).split(b"\n")
    assert sorted(seen) == sorted(
        [
            b"PATH=" + ENVIRONMENT["PATH"].encode(),
            b"LANG=C.UTF-8",
            b"ODD=\xff=",
            b"",
            b"JOBS_FENCE=%d" % request.fence,
            b"JOBS_KEEPER=" + link.welcome.keeper_id.encode(),
            b"",
        ]
    )


async def test_a_job_inherits_nothing_of_the_keeper(house: House) -> None:
    link = await house.open()
    request = house.script("echo $$ $(ps -o sid=,pgid= -p $$); ulimit -n; pwd")
    await house.run(link, request)
    who, limit, where = house.output(request.fence).splitlines()
    assert len(set(who.split())) == 1, "leader of its own session and group"
    assert int(limit) == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert where.decode() == str(house.files)
    record = await house.run(link, house.request("grep", "^Sig", "/proc/self/status"))
    masks = dict(line.split() for line in house.output(record.fence).splitlines())
    assert int(masks[b"SigBlk:"], 16) == 0
    # The C library leaves its own two real-time signals ignored; it sets them again.
    assert int(masks[b"SigIgn:"], 16) & ~(0b11 << 31) == 0
    record = await house.run(link, house.request("ls", "/proc/self/fd"))
    assert house.output(record.fence).split() == [b"0", b"1", b"2", b"3"]


async def test_standard_input_of_any_size_is_given(house: House) -> None:
    link = await house.open()
    data = os.urandom(1_000_000)
    record = await house.run(link, house.request("sha256sum", stdin=data))
    digest = hashlib.sha256(data).hexdigest()
    assert house.output(record.fence).split()[0].decode() == digest


async def test_without_standard_input_there_is_its_end(house: House) -> None:
    link = await house.open()
    record = await house.run(link, house.script("cat; echo done"))
    assert house.output(record.fence) == b"done\n"


async def test_input_that_is_not_read_troubles_nobody(house: House) -> None:
    link = await house.open()
    record = await house.run(link, house.script("exec <&-; exit 0", stdin=bytes(1000)))
    assert record.exit_code == 0


async def test_a_job_may_close_its_output(house: House) -> None:
    link = await house.open()
    record = await house.run(link, house.script("exec >&- 2>&-; exit 4"))
    assert (record.exit_code, record.output_bytes) == (4, 0)
    assert not (house.root / "attempts" / str(record.fence)).exists()


def failing(name: str, house: House) -> tuple[StartRequest, str]:
    """Return a request that cannot be started, and the sentence that says why."""
    files = house.files
    plain, text, orphan = files / "plain", files / "text", files / "orphan"
    plain.write_text("#!/bin/sh\n")
    text.write_text("echo hi\n")
    orphan.write_text("#!/no/interpreter\n")
    for file in (text, orphan):
        file.chmod(0o755)
    long = "x" * 200_000
    request, sentence = {
        "directory": (
            house.request("true", cwd="/no/where"),
            "working directory /no/where does not exist",
        ),
        "file for directory": (
            house.request("true", cwd=str(plain)),
            f"working directory {plain} is not a directory",
        ),
        "command": (house.request("nonsense"), "command not found: nonsense"),
        "path": (house.request("/no/nonsense"), "command not found: /no/nonsense"),
        "no path": (
            house.request("true", env={"PATH": "/no"}),
            "command not found: true",
        ),
        "permission": (house.request(str(plain)), f"permission denied: {plain}"),
        "permission on path": (
            house.request("plain", env={"PATH": str(files)}),
            "permission denied: plain",
        ),
        "directory for command": (house.request(str(files)), f"{files} is a directory"),
        "no first line": (
            house.request(str(text)),
            f"{text} is not a program: it has no first line like #!/bin/sh",
        ),
        "interpreter": (
            house.request(str(orphan)),
            f"the interpreter that the first line of {orphan} names does not exist",
        ),
        "long variable": (
            house.request("true", env=ENVIRONMENT | {"LONG": long}),
            "the arguments and the environment are too long: 200",
        ),
        "long argument": (
            house.request("true", long),
            "the arguments and the environment are too long: 200",
        ),
        "null": (
            house.request("true", "a\0b"),
            "the command or its environment is not valid",
        ),
        "empty": (house.request(""), "no command was given"),
        "marker": (house.request("true", marker="x"), "the marker 'x' is not NAME"),
        "signal": (house.request("true", signal="NO"), "there is no signal NO"),
    }[name]
    return request, sentence


@pytest.mark.parametrize(
    "name",
    [
        *("directory", "file for directory", "command", "path", "no path"),
        *("permission", "permission on path", "directory for command"),
        *("no first line", "interpreter", "long variable", "long argument"),
        *("null", "empty", "marker", "signal"),
    ],
)
async def test_what_cannot_be_started_is_recorded_with_a_sentence(
    house: House, name: str
) -> None:
    link = await house.open()
    request, sentence = failing(name, house)
    answer = await link.start(request)
    assert isinstance(answer, StartFailed)
    assert answer.error.startswith(sentence)
    record = await house.end_of(link, request.fence)
    assert (record.outcome, record.error) == (Outcome.START_FAILED, answer.error)
    assert await link.start(request) == answer, "the same again"


async def test_a_command_is_found_on_the_path_of_the_job(house: House) -> None:
    tool = house.files / "bin" / "tool"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\npwd\n")
    tool.chmod(0o755)
    link = await house.open()
    env = {"PATH": f"/no/where:{tool.parent}"}
    record = await house.run(link, house.request("tool", env=env))
    assert house.output(record.fence).decode() == f"{house.files}\n"
    relative = house.request("./tool", cwd=str(tool.parent))
    record = await house.run(link, relative)
    assert house.output(record.fence).decode() == f"{tool.parent}\n"


async def test_a_low_limit_of_open_files_binds_jobs_but_not_the_keeper(
    own_house: House,
) -> None:
    command = [sys.executable, "-m", "jobs_grpc.worker.keeper", "--root"]
    keeper = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", 'ulimit -Sn 64; exec "$@"', "sh", *command, own_house.root
    )
    await until(own_house.is_served)
    link = await own_house.open()
    assert link.welcome.pid == keeper.pid
    sleepers = [own_house.request("sleep", "1000") for _ in range(40)]
    await asyncio.gather(*(link.start(request) for request in sleepers))
    record = await own_house.run(link, own_house.script("ulimit -Sn"))
    assert own_house.output(record.fence) == b"64\n"
    await link.shutdown(kill=True)
    assert await keeper.wait() == 0


async def test_many_jobs_at_once_end_each_with_its_own_result(house: House) -> None:
    link = await house.open()
    requests = [house.script(f"echo {n}; exit {n}") for n in range(60)]
    await asyncio.gather(*(link.start(request) for request in requests))
    left = {request.fence: n for n, request in enumerate(requests)}
    async with asyncio.timeout(30):
        async for event in link.events():
            record = getattr(event, "record", None)
            if record is not None:
                n = left.pop(record.fence)
                assert record.exit_code == n
                assert house.output(record.fence) == f"{n}\n".encode()
            if not left:
                break


def test_the_keeper_loads_neither_grpc_nor_asyncio(tmp_path: Path) -> None:
    """Whatever `jobs_grpc.worker` imports for others, the keeper stays small."""
    code = (
        "import sys, jobs_grpc.worker.keeper.__main__\n"
        "print({'grpc', 'google', 'asyncio', 'subprocess'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code]
    assert subprocess.check_output(command, text=True) == "set()\n"
