"""A draft as a job file for people: YAML, with where it is from and what has changed."""

from __future__ import annotations

from typing import Any

import yaml

from jobs_grpc.client.importing.draft import Draft

_NUMERIC = tuple("0123456789+-.")


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text.rstrip("\n") else None
    if text[:1] in _NUMERIC:
        # YAML 1.2, which job files are, knows numbers that this writer takes for text.
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def job_file(draft: Draft) -> str:
    """Return the text of the job file of a settled draft."""
    head = [f"Imported from {draft.place}:"]
    head += [f"  {line}" for line in draft.source.splitlines()]
    head += [f"{note.kind}: {note.topic}: {note.message}" for note in draft.notes]
    comment = "".join(f"# {_printable(line)}".rstrip() + "\n" for line in head)
    return comment + _yaml(draft.document)


def _yaml(document: dict[str, Any]) -> str:
    text: str = yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=88
    )
    return text


def _printable(line: str) -> str:
    return "".join(one if one.isprintable() else " " for one in line)
