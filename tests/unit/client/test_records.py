"""The JSON of records, and what they say about themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobs_grpc.client import (
    Execution,
    ExecutionFailed,
    ExecutionState,
    Job,
    JobStatistics,
    Page,
    Trigger,
    Usage,
)

NOON = datetime(2027, 1, 15, 12, tzinfo=UTC)


def execution(**fields: Any) -> Execution:
    usual: dict[str, Any] = {
        "id": "0b5c3f0e-8a3c",
        "namespace": "default",
        "workspace": "_standalone_",
        "job": "backup",
        "state": ExecutionState.RUNNING,
        "trigger": Trigger.API,
    }
    return Execution(**{**usual, **fields})


def test_instants_are_rfc_3339_in_utc_and_absent_things_are_null() -> None:
    answer = execution(started_at=NOON).to_json()
    assert answer["started_at"] == "2027-01-15T12:00:00Z"
    for absent in (
        "finished_at",
        "duration_ms",
        "exit_code",
        "error",
        "worker",
        "usage",
    ):
        assert answer[absent] is None


def test_a_duration_needs_both_ends() -> None:
    ended = execution(started_at=NOON, finished_at=NOON + timedelta(seconds=1.5))
    assert ended.duration == timedelta(seconds=1.5)
    assert ended.to_json()["duration_ms"] == 1500
    assert execution(started_at=NOON).duration is None


def test_states_are_plain_words_too() -> None:
    assert {"timed_out": 1}[ExecutionState.TIMED_OUT] == 1
    assert f"{ExecutionState.TIMED_OUT}" == "timed_out"
    assert ExecutionState.of("from_the_future") is ExecutionState.UNRECOGNIZED


def test_only_final_states_are_final() -> None:
    assert execution(state=ExecutionState.LOST).is_final
    assert not execution(state=ExecutionState.RETRYING).is_final
    assert not execution(state=ExecutionState.UNRECOGNIZED).is_final


def test_what_a_function_returned_is_read_from_its_json() -> None:
    assert execution(result_json='{"done": 3}').result == {"done": 3}
    assert execution().result is None


def test_usage_adds_up() -> None:
    usage = Usage(
        cpu_user=timedelta(seconds=1),
        cpu_system=timedelta(seconds=0.5),
        peak_memory_bytes=7,
    )
    assert usage.cpu_seconds == 1.5
    assert usage.to_json() == {
        "cpu_user_ms": 1000,
        "cpu_system_ms": 500,
        "peak_memory_bytes": 7,
    }


def test_a_job_knows_its_document_and_where_it_belongs() -> None:
    job = Job(
        namespace="default",
        workspace="_standalone_",
        name="a",
        document_json='{"name":"a"}',
        statistics=JobStatistics(run_count=2, last_state=ExecutionState.FAILED),
    )
    assert job.is_standalone
    assert job.document == {"name": "a"}
    assert job.to_json()["run_count"] == 2
    assert job.to_json()["last_state"] == "failed"


def test_a_page_is_an_envelope() -> None:
    page = Page(data=(execution(),), next_page_token="more")
    assert page.to_json()["next_page_token"] == "more"
    assert Page[Execution](data=()).to_json() == {"data": [], "next_page_token": None}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"state": ExecutionState.FAILED, "error": "exit status 3"},
            "failed: exit status 3",
        ),
        ({"state": ExecutionState.TIMED_OUT}, "timed out"),
        ({"state": ExecutionState.LOST}, "how it ended is not known"),
    ],
)
def test_a_failed_execution_says_how_it_ended(
    fields: dict[str, Any], words: str
) -> None:
    failure = ExecutionFailed(execution(**fields))
    assert words in str(failure)
    assert failure.state is fields["state"]
