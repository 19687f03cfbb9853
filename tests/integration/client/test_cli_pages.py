"""Lists that come in parts: nobody takes the first part for all of it."""

from __future__ import annotations

from typing import Any

import pytest

from jobs_grpc.v1.backfill_pb2 import Backfill, ListBackfillsResponse
from jobs_grpc.v1.dead_letter_service_pb2 import DeadLetter, ListDeadLettersResponse
from jobs_grpc.v1.execution_service_pb2 import ListExecutionsResponse
from jobs_grpc.v1.job_pb2 import Schedule
from jobs_grpc.v1.pause_pb2 import Pause
from jobs_grpc.v1.pause_service_pb2 import ListPausesResponse
from jobs_grpc.v1.schedule_service_pb2 import (
    Decision,
    ListDecisionsResponse,
    ListSchedulesResponse,
)
from support.cli import jobs_grpc
from support.client_messages import execution
from support.fake_control_plane import FakeControlPlane

LISTS = pytest.mark.parametrize(
    ("command", "method", "answer"),
    [
        (
            ("execution", "list"),
            "ListExecutions",
            ListExecutionsResponse(executions=[execution()]),
        ),
        (
            ("schedule", "list"),
            "ListSchedules",
            ListSchedulesResponse(schedules=[Schedule(id="s", job="backup")]),
        ),
        (
            ("schedule", "decisions"),
            "ListDecisions",
            ListDecisionsResponse(decisions=[Decision(job="backup")]),
        ),
        (
            ("backfill", "list"),
            "ListBackfills",
            ListBackfillsResponse(backfills=[Backfill(id="b", job="backup")]),
        ),
        (
            ("dead-letter", "list"),
            "ListDeadLetters",
            ListDeadLettersResponse(dead_letters=[DeadLetter(job="backup")]),
        ),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, tuple) else None,
)


def page_of(answer: Any, token: str) -> Any:
    page = type(answer)()
    page.CopyFrom(answer)
    page.next_page_token = token
    return page


@LISTS
def test_a_table_says_that_there_is_more_and_how_to_get_it(
    command: tuple[str, ...], method: str, answer: Any
) -> None:
    with FakeControlPlane() as server:
        server.expect(method, page_of(answer, "it's"))
        first = jobs_grpc(*command, "--limit", "1", addr=server.address)
        server.expect(method, answer)
        last = jobs_grpc(
            *command, "-o", "wide", "--page-token", "it's", addr=server.address
        )
    assert first.code == last.code == 0
    assert "backup" in first.out
    assert first.err == "more: --page-token 'it'\"'\"'s'\n"
    assert last.err == ""
    assert [request.page_token for request in server.requests] == ["", "it's"]
    assert server.requests[0].page_size == 1


@LISTS
def test_for_programs_the_token_is_in_the_data_alone(
    command: tuple[str, ...], method: str, answer: Any
) -> None:
    with FakeControlPlane() as server:
        for output in ("json", "name"):
            server.expect(method, page_of(answer, "t"))
            ended = jobs_grpc(*command, "-o", output, addr=server.address)
            assert ended.err == ""
            if output == "json":
                assert ended.json()["next_page_token"] == "t"


def test_pauses_are_read_to_their_end() -> None:
    with FakeControlPlane() as server:
        for id_, token in (("p1", "t"), ("p2", "")):
            answer = ListPausesResponse(pauses=[Pause(id=id_)], next_page_token=token)
            server.expect("ListPauses", answer)
        ended = jobs_grpc("pause", "list", "-o", "json", addr=server.address)
    assert [one["id"] for one in ended.json()["data"]] == ["p1", "p2"]
    assert ended.json()["next_page_token"] is None
    assert [request.page_token for request in server.requests] == ["", "t"]
