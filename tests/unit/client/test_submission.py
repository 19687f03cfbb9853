"""What a submission becomes before it travels."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from jobs_grpc.client import Submission
from jobs_grpc.client._convert import to_timestamp
from jobs_grpc.client._submission import document_text, params_text


def test_text_stays_text_and_the_rest_becomes_json() -> None:
    params = {"a": "1", "b": 1, "c": True, "d": [1, "x"], "e": 1.5}
    assert params_text(params) == {
        "a": "1", "b": "1", "c": "true", "d": '[1, "x"]', "e": "1.5",
    }  # fmt: skip


def test_a_function_s_document_only_declares_types() -> None:
    first = Submission.function("resize", {"width": 3, "ok": True})
    second = Submission.function("resize", {"width": 4, "ok": False})
    assert first.document == second.document
    assert first.document == {
        "name": "resize",
        "function": "resize",
        "params": {"width": {"type": "integer"}, "ok": {"type": "boolean"}},
    }


def test_the_documents_pass_the_validation_of_job_files() -> None:
    from jobs_grpc.jobfile import parse_document, validate_params

    submission = Submission.function(
        "resize", {"width": 3, "ratio": 1.5, "name": "x", "ok": True, "tags": ["a"]}
    )
    assert isinstance(submission.document, dict)
    document = parse_document(submission.document)
    assert validate_params(document, submission.params) == {
        "width": 3, "ratio": 1.5, "name": "x", "ok": True, "tags": ["a"],
    }  # fmt: skip
    parse_document(
        Submission.command("echo x", name="a", timeout="5m").document  # type: ignore[arg-type]
    )


def test_a_document_that_is_text_is_json_already() -> None:
    assert document_text('{"name":"a"}') == '{"name":"a"}'
    assert json.loads(document_text({"name": "é"})) == {"name": "é"}


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a time zone"):
        to_timestamp(datetime(2027, 1, 1))  # noqa: DTZ001 - that is the point
