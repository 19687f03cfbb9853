"""The JSON Schema of job files, for editors and other tools.

It is made from the models, so a key that it describes is a key that is read, with the
same words that the documentation has. It accepts a little more than the product does:
what a cron expression means, no schema can say. Keys that are not built yet are in it
as keys without a valid value, so an editor marks them and shows why.
"""

from __future__ import annotations

from typing import Any, Final

from jobs_grpc.jobfile.document import JobDocument
from jobs_grpc.jobfile.workspace import WorkspaceDocument

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"

# The models hold short forms as the objects they stand for; authors write either.
_SHORT_FORMS: Final[dict[str, dict[str, Any]]] = {
    "Overlap": {"enum": ["skip", "queue", "allow", "replace"]},
    "CatchUp": {"enum": ["none", "latest", "all"]},
    "Retry": {"type": ["integer", "string"]},
    "Parameter": {"type": ["string", "number", "boolean", "array"]},
}
_TEMPLATE: Final = "#/$defs/{model}"


def json_schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12) of a job file: of a job, or of a workspace."""
    job = JobDocument.model_json_schema(ref_template=_TEMPLATE)
    workspace = WorkspaceDocument.model_json_schema(ref_template=_TEMPLATE)
    definitions = {**workspace.pop("$defs", {}), **job.pop("$defs", {})}
    definitions |= {"Job": job, "Workspace": workspace}
    for definition in definitions.values():
        for key, entry in definition.get("properties", {}).items():
            definition["properties"][key] = _as_authors_see_it(entry)
    for name, short in _SHORT_FORMS.items():
        definitions[name] = {"anyOf": [short, definitions[name]]}
    # The name of a workspace file is its name, if nothing in it says another.
    workspace["required"] = ["jobs"]
    workspace["properties"]["jobs"]["items"] = {"$ref": "#/$defs/Job"}
    return {
        "$schema": DRAFT,
        "title": "Job file",
        "description": "A job, or a workspace with jobs, of jobs-grpc.",
        "type": "object",
        "if": {"required": ["jobs"]},
        "then": {"$ref": "#/$defs/Workspace"},
        "else": {"$ref": "#/$defs/Job"},
        "$defs": definitions,
    }


def _as_authors_see_it(entry: dict[str, Any]) -> dict[str, Any]:
    """Drop what the models hold for absent keys; the descriptions say what it means."""
    kept = {k: v for k, v in entry.items() if k not in {"default", "title", "anyOf"}}
    choices = [one for one in entry.get("anyOf", []) if one != {"type": "null"}]
    if len(choices) == 1:
        return {**choices[0], **kept}
    return {"anyOf": choices, **kept} if choices else kept
