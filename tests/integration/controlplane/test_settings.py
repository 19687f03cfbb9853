from __future__ import annotations

from pathlib import Path

import pytest

from jobs_grpc.controlplane.config import Settings, SettingsError, load


def test_without_a_word_the_defaults_hold() -> None:
    settings = load([], {})
    assert settings == Settings()
    assert settings.addr == "127.0.0.1:7420"
    assert (settings.data, settings.jobs) == ("jobs-grpc-data", "")


def test_a_flag_wins_over_a_variable_and_a_variable_over_the_default() -> None:
    environment = {"JOBS_GRPC_ADDR": "127.0.0.1:1", "JOBS_GRPC_DATA": "from-variable"}
    settings = load(["--addr", "127.0.0.1:2"], environment)
    assert (settings.addr, settings.data) == ("127.0.0.1:2", "from-variable")
    assert load([], {"JOBS_GRPC_DATA": ""}).data == "jobs-grpc-data"


def test_the_jobs_folder_has_two_names(tmp_path: Path) -> None:
    for flag in ("--jobs", "--jobs-dir"):
        assert load([flag, str(tmp_path)], {}).jobs == str(tmp_path)


@pytest.mark.parametrize(
    "address", ["127.0.0.1:0", "127.8.8.8:7420", "[::1]:7420", "localhost:65535"]
)
def test_loopback_addresses_are_accepted(address: str) -> None:
    assert load(["--addr", address], {}).addr == address


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--addr", "0.0.0.0:7420"], "not a loopback address"),
        (["--addr", "[::]:7420"], "not a loopback address"),
        (["--addr", "192.0.2.1:7420"], "not a loopback address"),
        (["--addr", "localhost.example.com:7420"], "not a loopback address"),
        (["--addr", ":7420"], "not a loopback address"),
        (["--addr", "127.0.0.1"], "is no HOST:PORT"),
        (["--addr", "127.0.0.1:"], "is no HOST:PORT"),
        (["--addr", "127.0.0.1:99999"], "is no HOST:PORT"),
        (["--addr", "127.0.0.1:²"], "is no HOST:PORT"),
        (["--addr", "127.0.0.1:-1"], "is no HOST:PORT"),
        (["--addr", ""], "is no HOST:PORT"),
        (["--jobs", "/nowhere/at/all"], "is not a folder"),
        (["--session-ttl", "soon"], "soon"),
        (["--session-ttl", "2s"], "is not from 3s to 10m"),
        (["--session-ttl", "11m"], "is not from 3s to 10m"),
        (["--log-format", "xml"], "none of console, json"),
        (["--log-level", "loud"], "none of debug, info, warning, error"),
    ],
)
def test_settings_that_cannot_stand_are_refused(flags: list[str], message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(flags, {})
    assert flags[0] in str(refused.value)
    assert message in str(refused.value)


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        load(["--log-level", "loud", "--log-format", "xml", "--addr", "x"], {})
    for flag in ("--log-level", "--log-format", "--addr"):
        assert flag in str(refused.value)


def test_a_variable_is_judged_like_a_flag() -> None:
    with pytest.raises(SettingsError, match="loopback"):
        load([], {"JOBS_GRPC_ADDR": "0.0.0.0:7420"})
