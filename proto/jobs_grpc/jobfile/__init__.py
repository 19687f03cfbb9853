"""Job files: what a job is, and how people write it down.

    from jobs_grpc.jobfile import load_tree

    jobs, problems = load_tree("jobs/")

The parts, from the inside out:

- `part/`: the keys of a job in groups, each checking itself;
- `document`, `parameter`, `workspace`: the models that the keys make up, and the
  canonical form;
- `reading/`: JSON, YAML, TOML, files and folders, with the place of every problem;
- `together`: what is wrong with files only side by side, or by the clock;
- `placeholder`: `{{name}}`; `schema`: the JSON Schema for editors.

Author, command line, server and tests all validate with these same models. The package
knows schedules (`jobs_grpc.schedule`) and nothing else of the product; it reads files
only where it is told to, and never runs anything.
"""

from __future__ import annotations

from jobs_grpc.jobfile.document import JobDocument
from jobs_grpc.jobfile.parameter import (
    Parameter,
    ParameterValue,
    validate_params,
)
from jobs_grpc.jobfile.part.names import DEFAULT_NAMESPACE, STANDALONE, label_fault
from jobs_grpc.jobfile.placeholder import placeholders
from jobs_grpc.jobfile.problem import Problem, ProblemsError
from jobs_grpc.jobfile.reading.entry import read_entry
from jobs_grpc.jobfile.reading.loading import (
    SUFFIXES,
    Defaults,
    Format,
    LoadedJob,
    load_path,
    load_text,
    parse_document,
)
from jobs_grpc.jobfile.reading.tree import load_tree
from jobs_grpc.jobfile.schema import json_schema
from jobs_grpc.jobfile.together import circles, over
from jobs_grpc.jobfile.workspace import WorkspaceDocument

__all__ = [
    "DEFAULT_NAMESPACE",
    "STANDALONE",
    "SUFFIXES",
    "Defaults",
    "Format",
    "JobDocument",
    "LoadedJob",
    "Parameter",
    "ParameterValue",
    "Problem",
    "ProblemsError",
    "WorkspaceDocument",
    "circles",
    "json_schema",
    "label_fault",
    "load_path",
    "load_text",
    "load_tree",
    "over",
    "parse_document",
    "placeholders",
    "read_entry",
    "validate_params",
]
