"""Facts as OpenTelemetry metrics, exported as the `OTEL_*` variables say.

Attributes are of low cardinality only: states, job types, queues; never ids or names of
jobs. Without an exporter nothing is counted at all.

| instrument | kind | attributes |
|---|---|---|
| `job_executions` (`job_executions_total` in Prometheus) | counter | status, type |
| `jobs_grpc.execution.duration` | histogram, s | status, type |
| `jobs_grpc.queue.wait` | histogram, s | queue |
| `jobs_grpc.due_times.skipped` | counter | reason |
| `jobs_grpc.retries` | counter | type |
| `jobs_grpc.reports.refused` | counter | report |
| `jobs_grpc.queue.depth` | gauge | queue |
| `jobs_grpc.slots` | gauge | use (used, free) |
| `jobs_grpc.breakers` | gauge | state (open, half_open) |
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    ConsoleMetricExporter,
    MetricExporter,
    PeriodicExportingMetricReader,
)

from jobs_grpc.controlplane.core.core import Core
from jobs_grpc.controlplane.core.state.effects import (
    DueTimeSkipped,
    ExecutionFinished,
    ExecutionLeased,
    ExecutionRetried,
    Fact,
    ReportRefused,
)

_MICRO: Final = 1_000_000


def exporter() -> MetricExporter | None:
    """Return the exporter that the environment asks for, by the names of OpenTelemetry."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    wanted = os.environ.get("OTEL_METRICS_EXPORTER", "").strip().lower()
    has_endpoint = any(
        os.environ.get(name)
        for name in (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        )
    )
    if wanted == "console":
        return ConsoleMetricExporter()
    if wanted == "otlp" or (has_endpoint and wanted != "none"):
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import (
            OTLPMetricExporter,
        )

        return OTLPMetricExporter()
    return None


class Metrics:
    """Counts facts, while there is somebody to tell."""

    def __init__(
        self, provider: MeterProvider, core: Callable[[], Core | None]
    ) -> None:
        self._provider = provider
        self._core = core
        meter = provider.get_meter("jobs_grpc")
        self._executions = meter.create_counter(
            "job_executions", description="Executions that are final."
        )
        self._duration = meter.create_histogram(
            "jobs_grpc.execution.duration", unit="s", description="From start to end."
        )
        self._wait = meter.create_histogram(
            "jobs_grpc.queue.wait", unit="s", description="From due to leased."
        )
        self._skipped = meter.create_counter(
            "jobs_grpc.due_times.skipped", description="Due times decided against."
        )
        self._retries = meter.create_counter(
            "jobs_grpc.retries", description="Failed attempts that others follow."
        )
        self._refused = meter.create_counter(
            "jobs_grpc.reports.refused", description="Reports of stale attempts."
        )
        meter.create_observable_gauge("jobs_grpc.queue.depth", [self._depths])
        meter.create_observable_gauge("jobs_grpc.slots", [self._slots])
        meter.create_observable_gauge("jobs_grpc.breakers", [self._breakers])

    @classmethod
    def from_environment(cls, core: Callable[[], Core | None]) -> Metrics | None:
        """Return the metrics that the environment asks for, or `None`."""
        chosen = exporter()
        if chosen is None:
            return None
        os.environ.setdefault("OTEL_SERVICE_NAME", "jobs-grpc-server")
        reader = PeriodicExportingMetricReader(chosen)
        return cls(MeterProvider(metric_readers=[reader]), core)

    def note(self, facts: Sequence[Fact]) -> None:
        """Count the facts of a step."""
        for fact in facts:
            self._note(fact)

    def _note(self, fact: Fact) -> None:
        match fact:
            case ExecutionFinished():
                attributes = {
                    "status": fact.state.value,
                    "type": fact.execution.spec.work.type,
                }
                self._executions.add(1, attributes)
                if fact.started_at is not None:
                    seconds = (fact.result.finished_at - fact.started_at) / _MICRO
                    self._duration.record(max(0.0, seconds), attributes)
            case ExecutionLeased():
                self._wait.record(fact.waited / _MICRO, {"queue": fact.execution.queue})
            case DueTimeSkipped():
                self._skipped.add(1, {"reason": fact.reason})
            case ExecutionRetried():
                self._retries.add(1, {"type": fact.execution.spec.work.type})
            case ReportRefused():
                self._refused.add(1, {"report": fact.report})

    def close(self) -> None:
        """Export what is left."""
        self._provider.shutdown()

    def _depths(self, _options: CallbackOptions) -> Iterable[Observation]:
        core = self._core()
        if core is None:
            return []
        return [
            Observation(queue.depth, {"queue": queue.name})
            for queue in core.waiting.queues.values()
        ]

    def _breakers(self, _options: CallbackOptions) -> Iterable[Observation]:
        core = self._core()
        if core is None:
            return []
        counts = core.waiting.limits.breakers.counts()
        return [Observation(count, {"state": state}) for state, count in counts.items()]

    def _slots(self, _options: CallbackOptions) -> Iterable[Observation]:
        core = self._core()
        if core is None:
            return []
        sessions = [
            s for s in tuple(core.live.sessions.values()) if s.stream is not None
        ]
        used = sum(session.slots_used for session in sessions)
        total = sum(session.slots for session in sessions)
        return [
            Observation(used, {"use": "used"}),
            Observation(max(0, total - used), {"use": "free"}),
        ]
