"""What a job does: exactly one body, and the keys that go with it.

These rules look at which keys are present, not at their values, so that they can be
checked together with everything else that is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from jobs_grpc.jobfile.part.complaint import Complaint

BODIES: Final = {
    "command": "command",
    "script": "script",
    "function": "function",
    "template": "template",
    "workflow": "steps",
}
"""The key that holds what a job of each type does."""

TYPES: Final = ("command", "script", "function")
"""The types that can be run now."""

_TYPE_OF: Final = {key: kind for kind, key in BODIES.items()}
_OFFERED: Final = "`command`, `script` or `function`"
# A function runs inside the worker, whose environment and directory it shares.
_PROCESS_KEYS: Final = ("stdin", "environment", "working_dir")


def implied_type(raw: Mapping[object, object]) -> str:
    """Return the type that the only body implies, or nothing."""
    kinds = [kind for kind in TYPES if BODIES[kind] in raw]
    return kinds[0] if len(kinds) == 1 else ""


def body_complaints(raw: Mapping[object, object]) -> list[Complaint]:
    """Return what is wrong with the choice of keys in a job."""
    bodies = [key for key in raw if isinstance(key, str) and key in _TYPE_OF]
    if any(_TYPE_OF[key] not in TYPES for key in bodies):
        return []  # what is not built yet is refused, whatever stands beside it
    kind = raw.get("type")
    if isinstance(kind, str) and (kind in BODIES or kind == "transfer"):
        found = _stated(kind, bodies)
    else:
        found = _inferred(bodies)
        kind = _TYPE_OF[bodies[0]] if len(bodies) == 1 else ""
    return found + _misplaced(kind, raw)


def _stated(kind: str, bodies: list[str]) -> list[Complaint]:
    wanted = BODIES.get(kind, "")
    others = [key for key in bodies if key != wanted]
    if wanted in bodies:
        return [_both(wanted, key) for key in others]
    found = [
        Complaint((key,), f"a {kind} job has no `{key}`; remove it, or change the type")
        for key in others
    ]
    if kind in TYPES:
        found.append(Complaint((wanted,), f"a {kind} job needs `{wanted}`"))
    return found


def _inferred(bodies: list[str]) -> list[Complaint]:
    if not bodies:
        return [Complaint((), f"a job needs one of {_OFFERED}")]
    return [_both(bodies[0], key) for key in bodies[1:]]


def _both(first: str, second: str) -> Complaint:
    return Complaint(
        (second,), f"`{first}` and `{second}` are both given; a job has one of them"
    )


def _misplaced(kind: str, raw: Mapping[object, object]) -> list[Complaint]:
    found = []
    if "interpreter" in raw and kind in TYPES and kind != "script":
        found.append(Complaint(("interpreter",), "is only for script jobs"))
    if kind == "function":
        found += [
            Complaint(
                (key,),
                "is not for function jobs, which run inside the worker; "
                "hand values over in `params`",
            )
            for key in _PROCESS_KEYS
            if key in raw
        ]
    return found
