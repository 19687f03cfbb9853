"""`pause` and `resume`: what is sent for what is written."""

from __future__ import annotations

from typing import Any

import pytest

from jobs_grpc.v1 import pause_pb2
from jobs_grpc.v1 import pause_service_pb2 as pb
from jobs_grpc.v1.job_service_pb2 import ListJobsResponse
from jobs_grpc.wire.time import timestamp
from support.cli import jobs_grpc
from support.client_messages import NOON, got_job, job
from support.fake_control_plane import FakeControlPlane, refusal


def made(kind: str = "JOB", **fields: Any) -> pause_pb2.Pause:
    subject = pause_pb2.PauseSubject(
        kind=pause_pb2.PauseKind.Value(f"PAUSE_KIND_{kind}"),
        namespace="default",
        job="backup",
    )
    return pause_pb2.Pause(
        id="p1",
        subject=subject,
        who="alice",
        note="upgrade",
        since=timestamp(NOON),
        until=timestamp(NOON + 3_600_000_000),
        meanwhile=pause_pb2.PAUSE_MEANWHILE_LATEST,
        **fields,
    )


@pytest.mark.parametrize(
    ("arguments", "kind", "fields"),
    [
        (("backup",), "JOB", {"job": "backup"}),
        (
            ("backup", "--workspace", "shop"),
            "JOB",
            {"job": "backup", "workspace": "shop"},
        ),
        (("--schedule", "ab12"), "SCHEDULE", {"schedule": "ab12"}),
        (
            ("backup", "--schedule", "late"),
            "SCHEDULE",
            {"job": "backup", "schedule": "late"},
        ),
        (("--queue", "low"), "QUEUE", {"queue": "low"}),
        (("--workspace", "shop"), "WORKSPACE", {"workspace": "shop"}),
        (("--namespace", "ops"), "NAMESPACE", {"namespace": "ops"}),
        (
            ("-n", "ops", "--workspace", "shop"),
            "WORKSPACE",
            {"namespace": "ops", "workspace": "shop"},
        ),
        (("--all",), "ALL", {}),
    ],
)
@pytest.mark.parametrize("command", ["pause", "resume"])
def test_what_is_written_is_what_is_meant(
    command: str, arguments: tuple[str, ...], kind: str, fields: dict[str, str]
) -> None:
    with FakeControlPlane() as server:
        if command == "pause":
            server.expect("BeginPause", pb.BeginPauseResponse(pause=made(kind)))
        else:
            server.expect("EndPauses", pb.EndPausesResponse(pauses=[made(kind)]))
        ended = jobs_grpc(command, *arguments, addr=server.address)
    assert ended.code == 0, ended.err
    (request,) = server.requests
    wanted = {"namespace": "default", **fields}
    number = pause_pb2.PauseKind.Value(f"PAUSE_KIND_{kind}")
    assert request.subject == pause_pb2.PauseSubject(kind=number, **wanted)


def test_the_end_the_note_and_the_fate_of_due_times_are_sent() -> None:
    with FakeControlPlane() as server:
        for _ in range(2):
            server.expect("BeginPause", pb.BeginPauseResponse(pause=made()))
        note = ("--note", "upgrade", "--meanwhile", "latest")
        ended = jobs_grpc("pause", "backup", "--for", "90m", *note, addr=server.address)
        at = ("--until", "2027-01-15T12:00:00Z")
        jobs_grpc("pause", "backup", *at, addr=server.address)
    lasting, until = server.requests
    assert lasting.lasting.seconds == 5_400
    assert (lasting.note, lasting.meanwhile) == (
        "upgrade",
        pause_pb2.PAUSE_MEANWHILE_LATEST,
    )
    assert until.until.ToJsonString() == "2027-01-15T12:00:00Z"
    assert until.meanwhile == pause_pb2.PAUSE_MEANWHILE_DROP
    assert ended.out.startswith("paused   job backup until ")
    assert ended.err == "at its end the latest due time is started\n"


def test_a_list_has_a_line_for_each_pause() -> None:
    with FakeControlPlane() as server:
        server.expect("ListPauses", pb.ListPausesResponse(pauses=[made()]))
        table = jobs_grpc("pause", "list", addr=server.address)
        server.expect("ListPauses", pb.ListPausesResponse(pauses=[made()]))
        data = jobs_grpc("pause", "list", "--ended", "-o", "json", addr=server.address)
        server.expect("ListPauses", pb.ListPausesResponse())
        nothing = jobs_grpc("pause", "list", addr=server.address)
    for word in ("p1", "job backup", "latest", "alice", "upgrade"):
        assert word in table.out.splitlines()[1]
    assert [request.with_ended for request in server.requests] == [False, True, False]
    assert data.json()["data"][0]["job"] == "backup"
    assert nothing.err == "nothing is paused\n"


def test_one_pause_is_ended_by_its_id() -> None:
    with FakeControlPlane() as server:
        server.expect("EndPauses", pb.EndPausesResponse(pauses=[made()]))
        ended = jobs_grpc("resume", "--id", "p1", addr=server.address)
    assert server.requests[0].pause_id == "p1"
    assert not server.requests[0].HasField("subject")
    assert ended.out == "resumed   job backup\n"


def test_what_is_not_paused_is_not_found() -> None:
    with FakeControlPlane() as server:
        server.expect(
            "EndPauses", refusal("PAUSE_NOT_FOUND", 'job "backup" is not paused')
        )
        ended = jobs_grpc("resume", "backup", addr=server.address)
    assert (ended.code, ended.out) == (3, "")
    assert 'error: job "backup" is not paused' in ended.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("pause",), "say what is meant"),
        (("resume",), "say what is meant"),
        (("pause", "backup", "--all"), "different things"),
        (("pause", "backup", "--until", "soon"), "--until: an instant looks like"),
        (("pause", "backup", "--until", "x", "--for", "1m"), "give one of them"),
        (("pause", "backup", "--ended"), "belongs to `pause list`"),
        (("pause", "backup", "--meanwhile", "some"), "'some' is not one of"),
        (("resume", "backup", "--id", "p1"), "leave the rest out"),
    ],
)
def test_wrong_usage_is_said_before_anything_is_sent(
    arguments: tuple[str, ...], message: str
) -> None:
    with FakeControlPlane() as server:
        ended = jobs_grpc(
            *arguments, addr=server.address, env={"JOBS_GRPC_WORKSPACE": "shop"}
        )
    assert ended.code == 2
    assert message in ended.err


def test_a_job_shows_its_pause() -> None:
    with FakeControlPlane() as server:
        server.expect("GetJob", got_job("backup", pause=made()))
        ended = jobs_grpc("job", "get", "backup", addr=server.address)
    assert "Enabled: paused\n" in ended.out
    assert "Paused: job backup until " in ended.out
    assert " by alice: upgrade\n" in ended.out


@pytest.mark.parametrize(
    ("enabled", "words"), [(True, "Enabled: paused\n"), (False, "Enabled: no\n")]
)
def test_the_status_of_a_job_says_that_it_is_paused(enabled: bool, words: str) -> None:
    with FakeControlPlane() as server:
        server.expect("GetJob", got_job("backup", pause=made(), enabled=enabled))
        ended = jobs_grpc("status", "backup", addr=server.address)
    assert words in ended.out
    assert "Paused: job backup until " in ended.out


def test_the_status_of_all_jobs_says_which_are_paused() -> None:
    with FakeControlPlane() as server:
        server.expect("ListJobs", ListJobsResponse(jobs=[job("backup", pause=made())]))
        ended = jobs_grpc("status", addr=server.address)
    assert ended.out.splitlines()[1].split()[3] == "paused"
