"""Where the server is and whose things are meant."""

from __future__ import annotations

import pytest

from jobs_grpc.client import InvalidArgument
from jobs_grpc.client._settings import Target, checked_address, from_environment


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:7420", "127.0.0.1:7420"),
        ("jobs.example.com", "jobs.example.com:7420"),
        ("[::1]:7420", "[::1]:7420"),
        ("[::1]", "[::1]:7420"),
        ("unix:/run/jobs.sock", "unix:/run/jobs.sock"),
    ],
)
def test_an_address_is_host_and_port(text: str, address: str) -> None:
    assert checked_address(text) == address


@pytest.mark.parametrize(
    "text",
    ["http://localhost:7420", "localhost:", "localhost:0", "localhost:x", ":7420",
     "::1", "localhost:65536", "localhost:७"],
)  # fmt: skip
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        checked_address(text)
    assert caught.value.hint


def test_what_is_said_wins_over_the_environment_and_that_over_the_built_in() -> None:
    environment = {"JOBS_GRPC_ADDR": "env:1", "JOBS_GRPC_NAMESPACE": "env"}
    assert from_environment(None, "said", None, environment) == Target(
        address="env:1", namespace="said", workspace=""
    )
    assert from_environment(None, None, None, {}) == Target(
        address="127.0.0.1:7420", namespace="default", workspace=""
    )


def test_an_empty_workspace_that_a_call_says_is_not_the_client_s_own() -> None:
    target = Target(workspace="shop")
    assert target.workspace_or(None) == "shop"
    assert target.workspace_or("") == ""
    assert target.workspace_or("ops") == "ops"
