"""Commands that people and prompts call all the time load only what they need."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest

from jobs_grpc.v1.job_service_pb2 import ListJobsResponse
from support.client_messages import job
from support.fake_control_plane import FakeControlPlane

# Runs a command, then says which of the packages it has loaded.
PROGRAM = """
import sys
from jobs_grpc.client.cli.main import run
assert run(sys.argv[2:]) == 0
loaded = [name for name in sys.argv[1].split(",") if name in sys.modules]
print("loaded:", ",".join(loaded))
"""
HEAVY = "rich,yaml,pydantic,jobs_grpc.jobfile,jobs_grpc.schedule,importlib.metadata"
NETWORK = "grpc,google.protobuf,asyncio"


async def loaded(forbidden: str, *arguments: str, addr: str = "") -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        forbidden,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "JOBS_GRPC_ADDR": addr},
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode().splitlines()[-1]


@pytest.mark.parametrize("arguments", [("--version",), ("version",), ("--help",)])
async def test_words_about_ourselves_load_no_network(
    arguments: tuple[str, ...],
) -> None:
    assert await loaded(f"{HEAVY},{NETWORK}", *arguments) == "loaded: "


async def test_job_list_loads_no_files_models_or_tables() -> None:
    with FakeControlPlane() as server:
        server.expect("ListJobs", ListJobsResponse(jobs=[job()]))
        assert await loaded(HEAVY, "job", "list", addr=server.address) == "loaded: "
