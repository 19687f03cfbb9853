"""JSON, read strictly: no repeated keys, no NaN, no endless nesting."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from jobs_grpc.jobfile.part.complaint import Loc, printable
from jobs_grpc.jobfile.problem import Problem
from jobs_grpc.jobfile.reading.source import (
    DEEPEST,
    TOO_DEEP,
    Parsed,
    Place,
    Source,
    Spot,
    Spots,
)

# A text, a bracket or other punctuation, or a bare word or number.
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+', re.DOTALL)


class _Repeated(Exception):  # noqa: N818 - a signal, caught where it is raised
    pass


class _ConstantError(Exception):
    """NaN or an infinity, which JSON does not have."""


def read_json(source: Source) -> tuple[list[Parsed], list[Problem]]:
    """Return the one value of a JSON text, and what is wrong with the text."""
    if not source.text.strip():
        return [], [source.problem("the file is empty: it holds no job")]
    deep = _too_deep(source)
    if deep is not None:
        return [], [source.problem(TOO_DEEP, deep)]
    try:
        value = _STRICT.decode(source.text)
    except json.JSONDecodeError as error:
        return [], [_malformed(source, error)]
    except _Repeated:
        return [], _repeated_keys(source)
    except _ConstantError as error:
        return [], [_constant(source, str(error))]
    except ValueError as error:
        return [], [source.problem(f"not valid JSON: {error}")]
    except RecursionError:  # brackets that an unclosed text hid from the count
        return [], [source.problem(TOO_DEEP)]
    start = len(source.text) - len(source.text.lstrip())
    line = source.text.count("\n", 0, start) + 1
    return [Parsed(value=value, line=line, spots=lambda: _scan(source)[0])], []


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _Repeated
    return made


def _refuse_constant(name: str) -> None:
    raise _ConstantError(name)


_STRICT: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_refuse_constant
)


def _constant(source: Source, name: str) -> Problem:
    place = next(
        source.place(token.start())
        for token in _TOKEN.finditer(source.text)
        if token[0] == name
    )
    return source.problem(f"not valid JSON: {name} is not a number", place)


def _malformed(source: Source, error: json.JSONDecodeError) -> Problem:
    place = Place(error.lineno, error.colno)
    return source.problem(f"not valid JSON: {_reason(error)}", place)


def _repeated_keys(source: Source) -> list[Problem]:
    # The first repeated key ended the reading; what follows may be no JSON at all.
    try:
        json.loads(source.text)
    except json.JSONDecodeError as error:
        return [_malformed(source, error)]
    return _scan(source)[1]


def _too_deep(source: Source) -> Place | None:
    """Return the first bracket that is too deep, before anything recurses into it."""
    text = source.text
    if text.count("[") + text.count("{") <= DEEPEST:
        return None
    depth = 0
    for token in _TOKEN.finditer(text):
        if token[0] in "[{":
            depth += 1
            if depth > DEEPEST:
                return source.place(token.start())
        elif token[0] in "]}":
            depth -= 1
    return None


def _reason(error: json.JSONDecodeError) -> str:
    rest = error.doc[error.pos :].lstrip()
    before = error.doc[: error.pos].rstrip()
    if rest.startswith(("//", "/*", "#")):
        return "JSON has no comments; YAML has"
    if before.endswith(",") and rest[:1] in {"}", "]"}:
        return f'there must be no comma before "{rest[0]}"'
    if not rest:
        return "the text ends too early"
    if rest.startswith("'"):
        return "text must be in double quotes"
    message = error.msg[0].lower() + error.msg[1:]
    return message.replace("'", '"').removesuffix(" at")


def _scan(source: Source) -> tuple[Spots, list[Problem]]:
    """Return where every entry stands, and every repeated key, in well-formed JSON."""
    spots: dict[Loc, Spot] = {}
    problems: list[Problem] = []
    _scan_value(_Scanner(source, spots, problems), (), None)
    return spots, problems


class _Scanner:
    """Tokens of a well-formed text, one after the other."""

    def __init__(
        self, source: Source, spots: dict[Loc, Spot], problems: list[Problem]
    ) -> None:
        self.source = source
        self.spots = spots
        self.problems = problems
        self._tokens: Iterator[re.Match[str]] = _TOKEN.finditer(source.text)
        self._line = 1
        self._line_start = 0
        self._seen = 0

    def next(self) -> tuple[str, Place]:
        """Return the next token and its place; counts lines as it goes."""
        token = next(self._tokens)
        start = token.start()
        skipped = self.source.text.count("\n", self._seen, start)
        if skipped:
            self._line += skipped
            self._line_start = self.source.text.rfind("\n", self._seen, start) + 1
        self._seen = start
        return token[0], Place(self._line, start - self._line_start + 1)


def _scan_value(scanner: _Scanner, loc: Loc, key: Place | None) -> None:
    lexeme, place = scanner.next()
    _scan_from(scanner, lexeme, place, loc, key)


def _scan_from(
    scanner: _Scanner, lexeme: str, place: Place, loc: Loc, key: Place | None
) -> None:
    scanner.spots[loc] = Spot(place, key)
    if lexeme == "{":
        _scan_object(scanner, loc)
    elif lexeme == "[":
        _scan_list(scanner, loc)


def _scan_object(scanner: _Scanner, loc: Loc) -> None:
    seen: dict[str, Place] = {}
    while True:
        lexeme, place = scanner.next()
        if lexeme == "}":
            return
        if lexeme == ",":
            continue
        name = json.loads(lexeme)
        if name in seen:
            field = printable(".".join(map(str, (*loc, name))))
            message = f"the key is given twice, first in line {seen[name].line}"
            scanner.problems.append(scanner.source.problem(message, place, field))
        seen.setdefault(name, place)
        scanner.next()  # the colon
        _scan_value(scanner, (*loc, name), place)


def _scan_list(scanner: _Scanner, loc: Loc) -> None:
    index = 0
    while True:
        lexeme, place = scanner.next()
        if lexeme == "]":
            return
        if lexeme == ",":
            continue
        _scan_from(scanner, lexeme, place, (*loc, index), None)
        index += 1
