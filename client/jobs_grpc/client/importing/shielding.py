"""Braces of other tools that would be placeholders here, kept as they are.

`{{name}}` in an environment value, an argument or standard input is replaced when a job
starts. Where an imported text has one, a parameter of that name gets the text itself as
its value: what is put in is not searched again.
"""

from __future__ import annotations

from typing import Any, Final

from jobs_grpc.client.importing.draft import Draft, Kind
from jobs_grpc.jobfile import placeholders

_BUILT_IN: Final = frozenset(["workspace_name", "job_name", "namespace"])


def shield(draft: Draft) -> None:
    """Let every `{{name}}` of the draft's values stand for itself."""
    names = [
        name
        for text in _texts(draft.document)
        for name in placeholders(text)
        if name not in draft.document.get("params", {})
    ]
    for name in dict.fromkeys(names):
        if name in _BUILT_IN:
            draft.note(
                Kind.CHANGED,
                "braces",
                f"{{{{{name}}}}} is replaced here by the {name.replace('_', ' ')}",
            )
            continue
        params = draft.document.setdefault("params", {})
        params[name] = {"type": "string", "default": f"{{{{{name}}}}}"}
        draft.note(
            Kind.KEPT,
            "braces",
            f"{{{{{name}}}}} would be a placeholder here; the parameter {name} keeps it"
            " as it is",
        )


def _texts(document: dict[str, Any]) -> list[str]:
    command = document.get("command")
    vector = command if isinstance(command, list) else []
    return [
        *vector,
        *document.get("environment", {}).values(),
        document.get("stdin", ""),
        document.get("working_dir", ""),
    ]
