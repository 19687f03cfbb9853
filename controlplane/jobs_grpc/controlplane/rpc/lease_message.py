"""Leases as messages. Work that has no placeholders is encoded once a revision."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from jobs_grpc.controlplane.core.effects import LeaseGranted
from jobs_grpc.controlplane.core.execution import Execution
from jobs_grpc.controlplane.core.job import Delivery, JobSpec, Work, text_of
from jobs_grpc.v1 import worker_service_pb2 as pb
from jobs_grpc.wire.time import duration, timestamp

_KEPT: Final = 4096
_DELIVERY: Final[Mapping[Delivery, pb.Delivery.ValueType]] = {
    Delivery.AT_MOST_ONCE: pb.Delivery.DELIVERY_AT_MOST_ONCE,
    Delivery.AT_LEAST_ONCE: pb.Delivery.DELIVERY_AT_LEAST_ONCE,
}


class LeaseEncoder:
    """Makes `Lease` messages, remembering the parts that all of a revision share."""

    def __init__(self) -> None:
        self._by_identity: dict[int, tuple[JobSpec, pb.Lease]] = {}

    def encode(self, granted: LeaseGranted) -> pb.Lease:
        """Return the message of a granted lease."""
        execution = granted.execution
        spec = execution.spec
        message = pb.Lease()
        if spec.is_templated or execution.params:
            _fill(message, spec, granted.work, execution.params)
        else:
            message.CopyFrom(self._shared(spec, granted.work))
        message.fence = granted.fence
        message.execution_id = execution.id
        message.attempt = granted.attempt
        message.scheduled_for.CopyFrom(timestamp(execution.scheduled_for))
        return message

    def _shared(self, spec: JobSpec, work: Work) -> pb.Lease:
        kept = self._by_identity.get(id(spec))
        if kept is not None and kept[0] is spec:
            return kept[1]
        message = pb.Lease()
        _fill(message, spec, work, {})
        if len(self._by_identity) >= _KEPT:
            self._by_identity.clear()
        # The spec is kept beside the message, so that its identity stays its own.
        self._by_identity[id(spec)] = (spec, message)
        return message


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
