from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from jobs_grpc.controlplane.core.core import Core
from jobs_grpc.controlplane.core.state.effects import ReportRefused
from jobs_grpc.controlplane.core.state.states import Move
from jobs_grpc.controlplane.telemetry import Metrics
from jobs_grpc.controlplane.telemetry.metrics import exporter
from support.jobs import NOON, SECOND
from support.stage import Stage

Points = dict[str, list[tuple[dict[str, Any], Any]]]


class Meter:
    def __init__(self, core: Core | None) -> None:
        self.reader = InMemoryMetricReader()
        self.metrics = Metrics(
            MeterProvider(metric_readers=[self.reader]), lambda: core
        )

    def read(self) -> Points:
        """Return name to (attributes, value or histogram point)."""
        data = self.reader.get_metrics_data()
        found: Points = {}
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    found[metric.name] = [
                        (dict(point.attributes or {}), point)
                        for point in metric.data.data_points
                    ]
        return found


@pytest.fixture
def busy() -> Stage:
    """Three ends, a skipped due time, two waiting, one running on four slots."""
    stage = Stage()
    stage.apply(schedule="every 20s")
    session = stage.connect(slots=4)
    for move in (Move.SUCCEED, Move.SUCCEED, Move.FAIL):
        stage.submit_ad_hoc()
        fence = stage.leases()[-1].fence
        stage.start(session, fence)
        stage.end(session, fence, move, at=NOON + 2 * SECOND)
    stage.live_through(1)
    stage.submit()
    stage.live_through(20)
    stage.submit_ad_hoc(2, queue="low", targets={"selector": {"a": "b"}})
    return stage


@pytest.fixture
def meter(busy: Stage) -> Iterator[Meter]:
    made = Meter(busy.core)
    made.metrics.note(busy.facts)
    yield made
    made.metrics.close()


def values(points: Points, name: str) -> dict[str, Any]:
    """Return the values of an instrument by their attributes."""
    return {
        " ".join(str(value) for _, value in sorted(attributes.items())): point.value
        for attributes, point in points[name]
    }


def test_ends_are_counted_by_state_and_type(meter: Meter) -> None:
    assert values(meter.read(), "job_executions") == {
        "succeeded command": 2,
        "failed command": 1,
    }


def test_durations_and_waits_are_distributions(meter: Meter) -> None:
    points = meter.read()
    durations = {
        attributes["status"]: (point.count, point.sum)
        for attributes, point in points["jobs_grpc.execution.duration"]
    }
    assert durations == {"succeeded": (2, 4.0), "failed": (1, 2.0)}
    ((attributes, wait),) = points["jobs_grpc.queue.wait"]
    assert (attributes, wait.count) == ({"queue": "default"}, 4)


def test_refused_reports_are_counted_by_their_kind(meter: Meter) -> None:
    meter.metrics.note(
        [ReportRefused("", 7, "output"), ReportRefused("s", 7, "output")]
    )
    assert values(meter.read(), "jobs_grpc.reports.refused") == {"output": 2}


def test_skipped_due_times_are_counted_by_their_reason(meter: Meter) -> None:
    assert values(meter.read(), "jobs_grpc.due_times.skipped") == {"overlap": 1}


def test_gauges_show_the_lines_and_the_slots(meter: Meter) -> None:
    points = meter.read()
    assert values(points, "jobs_grpc.queue.depth") == {
        "critical": 0,
        "default": 0,
        "low": 2,
    }
    assert values(points, "jobs_grpc.slots") == {"used": 1, "free": 3}
    assert values(points, "jobs_grpc.breakers") == {"open": 0, "half_open": 0}


def test_without_a_leader_there_are_no_gauges() -> None:
    meter = Meter(None)
    assert not any(meter.read().get(name) for name in ("jobs_grpc.slots",))
    meter.metrics.close()


def test_nothing_of_low_value_or_high_number_is_an_attribute(meter: Meter) -> None:
    names = {
        name
        for points in meter.read().values()
        for attributes, _ in points
        for name in attributes
    }
    assert names == {"status", "type", "queue", "reason", "use", "state"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"OTEL_METRICS_EXPORTER": "none"}, None),
        ({"OTEL_METRICS_EXPORTER": "console"}, "ConsoleMetricExporter"),
        ({"OTEL_METRICS_EXPORTER": "otlp"}, "OTLPMetricExporter"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"},
            "OTLPMetricExporter",
        ),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318",
                "OTEL_METRICS_EXPORTER": "none",
            },
            None,
        ),
        ({"OTEL_METRICS_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"}, None),
    ],
)
def test_the_environment_says_where_metrics_go(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str | None
) -> None:
    for name in (
        "OTEL_SDK_DISABLED",
        "OTEL_METRICS_EXPORTER",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    ):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    chosen = exporter()
    assert (type(chosen).__name__ if chosen else None) == expected
    if chosen is not None:
        chosen.shutdown()
    if expected is None:
        assert Metrics.from_environment(lambda: None) is None
