"""From a draft to a document that the job file's own rules accept."""

from __future__ import annotations

import copy
from typing import Any

from jobs_grpc.client.importing.draft import Draft, Imported, Kind, Note, Offer
from jobs_grpc.client.importing.shielding import shield
from jobs_grpc.jobfile import ProblemsError, parse_document


def settle(imported: Imported) -> None:
    """Make every draft valid; one that cannot be is taken out, with a note that says why.

    Keys on offer that job files do not know are left out, and what that changes is noted.
    """
    kept = []
    for draft in imported.drafts:
        shield(draft)
        for offer in draft.offers:
            _take(draft, offer)
        draft.offers.clear()
        if problems := _problems(draft.document):
            imported.notes += draft.notes
            text = "; ".join(problems)
            imported.notes.append(Note(draft.place, Kind.REFUSED, "job", text))
        else:
            kept.append(draft)
    imported.drafts[:] = kept


def _take(draft: Draft, offer: Offer) -> None:
    with_it = copy.deepcopy(draft.document)
    _put(with_it, offer.path, offer.value)
    # What is wrong elsewhere is wrong with and without it.
    if len(_problems(with_it)) > len(_problems(draft.document)):
        draft.notes.append(offer.otherwise)
    else:
        draft.document = with_it


def _put(document: dict[str, Any], path: tuple[str, ...], value: object) -> None:
    for holder in _holders(document, path[:-1]):
        holder[path[-1]] = value


def _holders(document: dict[str, Any], path: tuple[str, ...]) -> list[dict[str, Any]]:
    if not path:
        return [document]
    inner = document.setdefault(path[0], {})
    entries = inner if isinstance(inner, list) else [inner]
    return [one for entry in entries for one in _holders(entry, path[1:])]


def _problems(document: dict[str, Any]) -> list[str]:
    try:
        parse_document(document)
    except ProblemsError as error:
        return [
            ": ".join(filter(None, (one.field, one.message))) for one in error.problems
        ]
    return []
