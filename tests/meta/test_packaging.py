"""The repository's four source roots make one namespace, and an install has all of it."""

from __future__ import annotations

import importlib
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import jobs_grpc

ROOT = Path(__file__).resolve().parents[2]
ROOTS = ("proto", "controlplane", "worker", "client")
PACKAGES = (
    "v1",
    "wire",
    "runtime",
    "schedule",
    "jobfile",
    "controlplane",
    "worker",
    "client",
)
# What the base install does not bring.
EXTRAS_ONLY = ("aiosqlite", "uvloop", "grpc_health", "opentelemetry")


def test_the_namespace_has_no_init_in_any_root() -> None:
    assert jobs_grpc.__file__ is None
    assert [
        root for root in ROOTS if (ROOT / root / "jobs_grpc/__init__.py").exists()
    ] == []


def test_each_root_holds_the_namespace_and_nothing_else() -> None:
    for root in ROOTS:
        found = {
            entry.name
            for entry in (ROOT / root).iterdir()
            if entry.name not in {"__pycache__", "README.md"}
        }
        assert found == {"jobs_grpc"}, root


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_imports_and_is_typed(package: str) -> None:
    module = importlib.import_module(f"jobs_grpc.{package}")
    assert module.__path__
    assert (Path(next(iter(module.__path__))) / "py.typed").exists()


def test_the_wheel_holds_code_sql_protos_and_types(tmp_path: Path) -> None:
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "--wheel-dir",
            str(tmp_path),
            str(ROOT),
        ],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("jobs_grpc-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for wanted in (
        "jobs_grpc/v1/worker_service.proto",
        "jobs_grpc/v1/worker_service_pb2.py",
        "jobs_grpc/v1/worker_service_pb2_grpc.py",
        "jobs_grpc/controlplane/storage/sqlite/migrations/0001_initial.sql",
        "jobs_grpc/controlplane/storage/sqlite/writes.sql",
        "jobs_grpc/client/cli/main.py",
        "jobs_grpc/worker/keeper/__main__.py",
        "jobs_grpc/jobfile/py.typed",
    ):
        assert wanted in names
    assert "jobs_grpc/__init__.py" not in names


def test_the_base_install_is_enough_for_the_client() -> None:
    program = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {EXTRAS_ONLY!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
import jobs_grpc.client, jobs_grpc.jobfile, jobs_grpc.client.cli.main
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_missing_extra_says_what_to_install() -> None:
    program = f"""
import runpy, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {EXTRAS_ONLY!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
sys.argv = ["server"]
runpy.run_module("jobs_grpc.controlplane", run_name="__main__")
"""
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 1
    assert "pip install 'jobs-grpc[server]'" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_version_is_that_of_the_distribution() -> None:
    assert metadata.version("jobs-grpc") == "0.1.0"
