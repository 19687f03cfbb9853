"""The JSON Schema that editors use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jobs_grpc.jobfile import JobDocument, json_schema

DOCS = Path(__file__).parents[3] / "docs"


def objects(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for entry in value.values():
            yield from objects(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from objects(entry)


def test_the_committed_schema_is_current() -> None:
    committed = json.loads((DOCS / "job.schema.json").read_text())

    assert committed == json_schema(), (
        "write it again: python -c 'import json; from jobs_grpc.jobfile import "
        "json_schema; print(json.dumps(json_schema(), indent=2, ensure_ascii=False))' "
        "> docs/job.schema.json"
    )


def test_every_key_has_a_description() -> None:
    schema = json_schema()

    assert schema["$schema"].endswith("2020-12/schema")
    for definition in objects(schema["$defs"]):
        for key, entry in definition.get("properties", {}).items():
            assert isinstance(entry, dict)
            assert entry.get("description"), key


def test_the_schema_has_the_keys_of_the_model_and_no_others() -> None:
    job = json_schema()["$defs"]["Job"]

    assert set(job["properties"]) == set(JobDocument.model_fields)
    assert job["required"] == ["name"]
    assert job["additionalProperties"] is False


def test_references_lead_somewhere() -> None:
    schema = json_schema()

    for definition in objects(schema):
        reference = definition.get("$ref")
        if isinstance(reference, str):
            assert reference.removeprefix("#/$defs/") in schema["$defs"]


def test_the_documentation_describes_every_key() -> None:
    text = (DOCS / "job-file.md").read_text()

    for key in JobDocument.model_fields:
        assert f"`{key}`" in text, key
