"""Every reason of the contract has its place on both sides of the wire."""

from __future__ import annotations

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from jobs_grpc.controlplane.core.state import errors as core
from jobs_grpc.controlplane.core.state.errors import RefusedError
from jobs_grpc.controlplane.leader.journal import NotLeadingError, OverloadedError
from jobs_grpc.controlplane.output.errors import OutputError
from jobs_grpc.controlplane.rpc.errors import REASONS, UNUSED, refusal_of
from jobs_grpc.controlplane.storage.store import StoreError
from jobs_grpc.v1.error_pb2 import ErrorReason
from jobs_grpc.wire.refusal import STATUS_OF, Refusal, to_status

REASONS_OF_THE_CONTRACT = set(ErrorReason.values())


def leaves(kind: type[Exception]) -> set[type[Exception]]:
    """Return the exceptions of a tree that are raised: those without children."""
    children = kind.__subclasses__()
    return {kind} if not children else set().union(*map(leaves, children))


def test_every_reason_is_raised_or_known_to_be_unused() -> None:
    assert set(REASONS.values()) | UNUSED == REASONS_OF_THE_CONTRACT


def test_no_reason_is_both() -> None:
    # INTERNAL is said by the interceptor itself.
    assert set(REASONS.values()) & UNUSED == set()


@pytest.mark.parametrize(
    "kind", sorted(leaves(RefusedError), key=str), ids=lambda kind: kind.__name__
)
def test_every_refusal_of_the_core_is_in_the_table_itself(
    kind: type[Exception],
) -> None:
    assert kind in REASONS


def test_the_tree_of_refusals_is_the_one_that_is_drawn() -> None:
    assert core.__doc__ is not None
    drawn = {
        line.split("── ")[-1] for line in core.__doc__.splitlines() if "──" in line
    }
    assert drawn == {kind.__name__ for kind in leaves(RefusedError)}


@pytest.mark.parametrize(
    "error",
    [
        NotLeadingError(),
        OverloadedError(),
        *(kind("away") for kind in sorted(leaves(StoreError), key=str)),
    ],
    ids=lambda error: type(error).__name__,
)
def test_trouble_of_the_leader_is_said_with_what_to_do(error: Exception) -> None:
    refusal = refusal_of(error, request_id="r1")
    assert refusal is not None
    assert refusal.message
    assert refusal.request_id == "r1"


def test_trouble_of_the_output_that_a_caller_can_meet_is_in_the_table() -> None:
    unmapped = {
        kind.__name__
        for kind in leaves(OutputError)
        if not any(base in REASONS for base in kind.__mro__)
    }
    # A caller of the contract cannot make one: the edge checks what it hands on.
    assert unmapped <= {"OutputArgumentError"}


def test_what_is_not_in_the_table_is_a_bug_of_ours() -> None:
    assert refusal_of(RuntimeError("bug"), request_id="r1") is None
    assert refusal_of(KeyError("bug"), request_id="r1") is None


def test_a_refusal_keeps_its_field_and_its_hint() -> None:
    error = core.InvalidError("is wrong", hint="make it right", field="name")
    refusal = refusal_of(error, request_id="r1")
    assert refusal is not None
    assert (refusal.message, refusal.hint) == ("is wrong", "make it right")
    assert [one.field for one in refusal.violations] == ["name"]


def test_every_reason_has_a_status() -> None:
    unspecified = {ErrorReason.ERROR_REASON_UNSPECIFIED}
    assert set(STATUS_OF) == REASONS_OF_THE_CONTRACT - unspecified
    assert grpc.StatusCode.OK not in STATUS_OF.values()


@pytest.mark.parametrize("reason", sorted(STATUS_OF))
def test_every_reason_can_travel(reason: ErrorReason.ValueType) -> None:
    status = to_status(Refusal(reason=reason, message="text", hint="do that"))
    assert status.code is STATUS_OF[reason]
    assert status.details == "text"


def test_an_overloaded_server_says_when_to_come_back() -> None:
    refusal = refusal_of(OverloadedError(retry_after=1.5), request_id="r1")
    assert refusal is not None
    assert refusal.retry_after == 1.5
    call = _Call(to_status(refusal))
    status = rpc_status.from_call(call)  # type: ignore[no-untyped-call]
    retry = error_details_pb2.RetryInfo()
    assert any(one.Unpack(retry) for one in status.details)
    assert retry.retry_delay.ToTimedelta().total_seconds() == 1.5


class _Call:
    """As much of a call as a status is read from."""

    def __init__(self, status: grpc.Status) -> None:
        self._status = status

    def code(self) -> grpc.StatusCode:
        return self._status.code

    def details(self) -> str:
        return self._status.details

    def trailing_metadata(self) -> object:
        return self._status.trailing_metadata
