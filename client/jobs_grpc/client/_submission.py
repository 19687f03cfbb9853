"""What to run: a stored job, a command, a function, or any job document.

Made for large batches: a submission is a small record, a document that neighbors share is
written as JSON once, and a function's arguments travel as parameters beside a
document that only declares their types, so that a server reads that document once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One execution to create. Use the class methods; they say what is needed."""

    # Exactly one of the two: a stored job's name, or a document that is not stored.
    job: str = ""
    document: Mapping[str, Any] | str | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    # Start no earlier than this; an aware datetime.
    not_before: datetime | None = None
    # A repeated id returns the first execution and creates none; absent: one is minted.
    request_id: str = ""

    @classmethod
    def stored(
        cls,
        job: str,
        *,
        params: Mapping[str, Any] | None = None,
        not_before: datetime | None = None,
        request_id: str = "",
    ) -> Self:
        """Return a run of a stored job; values that are not text are sent as JSON."""
        return cls(
            job=job,
            params=params_text(params or {}),
            not_before=not_before,
            request_id=request_id,
        )

    @classmethod
    def command(
        cls,
        command: str | Sequence[str],
        *,
        name: str,
        not_before: datetime | None = None,
        request_id: str = "",
        **keys: Any,
    ) -> Self:
        """Return a run of a shell line (text) or an argument vector (a list).

        Further keys of a job document may follow, for example `timeout="5m"`.
        """
        plain = command if isinstance(command, str) else list(command)
        return cls(
            document={"name": name, "command": plain, **keys},
            not_before=not_before,
            request_id=request_id,
        )

    @classmethod
    def function(
        cls,
        function: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        name: str = "",
        not_before: datetime | None = None,
        request_id: str = "",
        **keys: Any,
    ) -> Self:
        """Return a run of a function that workers have registered.

        Arguments are anything that JSON can say but null; leave out what has no value.
        """
        given = arguments or {}
        document: dict[str, Any] = {"name": name or function, "function": function}
        if given:
            document["params"] = {key: {"type": _type(given[key])} for key in given}
        return cls(
            document={**document, **keys},
            params=params_text(given),
            not_before=not_before,
            request_id=request_id,
        )


def params_text(params: Mapping[str, Any]) -> dict[str, str]:
    """Return parameters as the text that travels: text as it is, the rest as JSON."""
    return {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in params.items()
    }


def document_text(document: Mapping[str, Any] | str) -> str:
    """Return a job document as JSON; text is taken to be JSON already."""
    if isinstance(document, str):
        return document
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def _type(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    return "string" if isinstance(value, str) else "json"
