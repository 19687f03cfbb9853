"""TOML: one job, or one workspace, in a text.

`tomllib` knows where a syntax error is, but not where a value stands. Places of values
are found by reading the text once more, line by line: headers and `key =` at the
beginning of a line are enough for the way people write such files; what is written in
one line is placed at its key.
"""

from __future__ import annotations

import re
import tomllib
from datetime import date, datetime, time
from typing import Final

from jobs_grpc.jobfile.part.complaint import Loc
from jobs_grpc.jobfile.problem import Problem
from jobs_grpc.jobfile.reading.source import (
    TOO_DEEP,
    Parsed,
    Place,
    Source,
    Spot,
    Spots,
    depth_fault,
)

_WHERE: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_PART: Final = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_KEY: Final = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_HEADER: Final = re.compile(rf"[ \t]*(\[\[?)[ \t]*({_KEY})[ \t]*\]\]?")
_ENTRY: Final = re.compile(rf"[ \t]*({_KEY})[ \t]*=[ \t]*")
_PARTS: Final = re.compile(_PART)
# tomllib takes quadratic time for keys of many thousand parts. The quantifiers are
# possessive, so that looking for them does not.
_LONG_KEY: Final = re.compile(
    r"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]{0,99}+"|'[^'\n]{0,99}+')[ \t]*+\.[ \t]*+){50}"""
)


def read_toml(source: Source) -> tuple[list[Parsed], list[Problem]]:
    """Return the one value of a TOML text, and what is wrong with the text."""
    if long_key := _LONG_KEY.search(source.text):
        return [], [source.problem(TOO_DEEP, source.place(long_key.start()))]
    try:
        value = tomllib.loads(source.text)
    except tomllib.TOMLDecodeError as error:
        return [], [_malformed(source, error)]
    except RecursionError:
        return [], [source.problem(TOO_DEEP)]
    except ValueError as error:
        return [], [source.problem(f"not valid TOML: {error}")]
    if depth_fault(value):
        return [], [source.problem(TOO_DEEP)]
    if not value:
        return [], [source.problem("the file is empty: it holds no job")]
    parsed = Parsed(value=_texts(value), line=1, spots=lambda: _spots(source.text))
    return [parsed], []


def _texts(value: object) -> object:
    """Return the value with dates and times as text, which is how job files have them."""
    if isinstance(value, dict):
        return {key: _texts(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_texts(entry) for entry in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return value


def _malformed(source: Source, error: tomllib.TOMLDecodeError) -> Problem:
    message = str(error)
    place = None
    if where := _WHERE.search(message):
        message = message[: where.start()]
        if where[1]:
            place = Place(int(where[1]), int(where[2]))
        else:
            place = source.place(len(source.text))
    message = message[0].lower() + message[1:]
    return source.problem(f"not valid TOML: {message}", place)


def _spots(text: str) -> Spots:
    """Return where the keys of a well-formed text stand, as far as lines show it."""
    spots: dict[Loc, Spot] = {(): Spot(Place(1, 1))}
    table: Loc = ()
    elements: dict[Loc, int] = {}
    inside = ""
    for number, line in enumerate(text.split("\n"), start=1):
        if inside:
            inside = _open_quotes(line, inside)
            continue
        if header := _HEADER.match(line):
            place = Place(number, header.start(2) + 1)
            table = _resolve(_names(header[2]), elements)
            if header[1] == "[[":
                elements[table] = elements.get(table, -1) + 1
                table = (*table, elements[table])
            spots.setdefault(table, Spot(place, place))
        elif entry := _ENTRY.match(line):
            loc = (*table, *_names(entry[1]))
            key = Place(number, entry.start(1) + 1)
            spots.setdefault(loc, Spot(Place(number, entry.end() + 1), key))
        inside = _open_quotes(line, "")
    return spots


def _names(key: str) -> Loc:
    return tuple(part.strip("\"'") for part in _PARTS.findall(key))


def _resolve(names: Loc, elements: dict[Loc, int]) -> Loc:
    """Return the path of a header; inside a list it means the element made last."""
    loc: Loc = ()
    for index, name in enumerate(names):
        loc = (*loc, name)
        if index < len(names) - 1 and loc in elements:
            loc = (*loc, elements[loc])
    return loc


def _open_quotes(line: str, inside: str) -> str:
    """Return the triple quote that is still open at the end of a line."""
    rest = line
    while True:
        if inside:
            _, found, rest = rest.partition(inside)
            if not found:
                return inside
            inside = ""
        else:
            marks = [(rest.find(mark), mark) for mark in ('"""', "'''") if mark in rest]
            if not marks:
                return ""
            at, inside = min(marks)
            rest = rest[at + 3 :]
