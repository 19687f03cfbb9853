"""`dead-letter`: what is said of what was put aside."""

from __future__ import annotations

from jobs_grpc.v1.dead_letter_service_pb2 import PurgeDeadLettersResponse
from support.cli import jobs_grpc
from support.fake_control_plane import FakeControlPlane


def test_a_purge_says_how_many_in_the_form_that_is_asked_for() -> None:
    with FakeControlPlane() as server:
        said = {}
        for output in ("table", "json", "name"):
            server.expect("PurgeDeadLetters", PurgeDeadLettersResponse(purged=3))
            said[output] = jobs_grpc(
                "dead-letter", "purge", "--all", "-y", "-o", output, addr=server.address
            )
    assert said["table"].out == "3 dead letters put aside\n"
    assert said["json"].json() == {"purged": 3}
    assert said["name"].out == ""
