"""Leases as messages. Work that has no placeholders is encoded once a revision."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from jobs_grpc.controlplane.core.state.effects import LeaseGranted
from jobs_grpc.controlplane.core.state.execution import Execution
from jobs_grpc.controlplane.core.state.job import Delivery, JobSpec, Work, text_of
from jobs_grpc.v1 import worker_service_pb2 as pb
from jobs_grpc.wire.time import duration

_KEPT: Final = 4096
_DELIVERY: Final[Mapping[Delivery, pb.Delivery.ValueType]] = {
    Delivery.AT_MOST_ONCE: pb.Delivery.DELIVERY_AT_MOST_ONCE,
    Delivery.AT_LEAST_ONCE: pb.Delivery.DELIVERY_AT_LEAST_ONCE,
}


class LeaseEncoder:
    """Makes `Lease` messages, remembering the parts that all of a revision share.

    Shared parts are kept as bytes: parsing them is the cheapest way to copy a message.
    """

    def __init__(self) -> None:
        # The spec is kept beside its bytes, so that its identity stays its own.
        self._known: dict[int, tuple[JobSpec, bytes]] = {}

    def encode(self, granted: LeaseGranted) -> pb.Lease:
        """Return the message of a granted lease."""
        execution = granted.execution
        spec = execution.spec
        if spec.is_templated or execution.params:
            message = pb.Lease()
            _fill(message, spec, granted.work, execution.params)
        else:
            message = pb.Lease.FromString(self._shared(spec, granted.work))
        message.fence = granted.fence
        message.execution_id = execution.id
        message.attempt = granted.attempt
        seconds, rest = divmod(execution.scheduled_for, 1_000_000)
        message.scheduled_for.seconds = seconds
        message.scheduled_for.nanos = rest * 1_000
        return message

    def _shared(self, spec: JobSpec, work: Work) -> bytes:
        kept = self._known.get(id(spec))
        if kept is not None and kept[0] is spec:
            return kept[1]
        message = pb.Lease()
        _fill(message, spec, work, {})
        if len(self._known) >= _KEPT:
            self._known.clear()
        encoded = message.SerializeToString()
        self._known[id(spec)] = (spec, encoded)
        return encoded


def _fill(
    message: pb.Lease, spec: JobSpec, work: Work, params: Mapping[str, Any]
) -> None:
    message.namespace = spec.namespace
    message.workspace = spec.workspace
    message.job = spec.name
    message.delivery = _DELIVERY[spec.delivery]
    message.timeout.CopyFrom(duration(spec.timeout))
    message.cancel.signal = spec.cancel_signal
    message.cancel.grace.CopyFrom(duration(spec.cancel_grace))
    message.output_limit = spec.output_limit
    if spec.timeouts is not None and spec.timeouts.silence is not None:
        message.silence.CopyFrom(duration(spec.timeouts.silence))
    message.work.CopyFrom(_work(work, params))


def _work(work: Work, params: Mapping[str, Any]) -> pb.Work:
    message = pb.Work(
        environment=work.environment,
        working_dir=work.working_dir,
        stdin=work.stdin.encode(),
        params={name: text_of(value) for name, value in params.items()},
    )
    if work.type == "command":
        message.command.CopyFrom(pb.CommandWork(line=work.line, argv=work.argv))
    elif work.type == "script":
        message.script.CopyFrom(
            pb.ScriptWork(text=work.script, interpreter=work.interpreter)
        )
    else:
        message.function.CopyFrom(
            pb.FunctionWork(name=work.function, arguments_json=json.dumps(dict(params)))
        )
    return message


def weight(execution: Execution) -> int:
    """Return about how many bytes the lease of an execution takes in a message."""
    return len(execution.spec.document_json) + 512
