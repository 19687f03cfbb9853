"""YAML 1.2, several documents in a text.

PyYAML reads YAML 1.1: it makes `no` false, `12:30` the number 750, 0755 the number 493,
and keeps the last of two equal keys. So only its parser is used here, the C one where
it exists, and the values are made from the node tree by the rules of YAML 1.2's core
schema: null, true, false, numbers, and everything else is text. Merge keys (`<<`), which
YAML 1.2 dropped and people still write, are understood.

A text is data from strangers: no tags besides the core ones, at most fifty levels, and
aliases may repeat at most ten thousand values, so that a few hundred bytes cannot grow
into gigabytes.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import yaml
from yaml.composer import Composer
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.scanner import Scanner

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

LARGEST_EXPANSION: Final = 10_000
"""Values that aliases may repeat in one text."""

_TAG: Final = "tag:yaml.org,2002:"
# Plain scalars mean what the core schema says; the parser asks for a tag at once, the
# value is read later.
_PLAIN: Final = "plain"
_STRING: Final = f"{_TAG}str"
_CORE_TAGS: Final = frozenset(
    {_PLAIN, *(_TAG + name for name in ("str", "int", "float", "bool", "null"))}
)
_COLLECTION_TAGS: Final = frozenset({f"{_TAG}map", f"{_TAG}seq"})

_WORDS: Final[dict[str, object]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMBER_STARTS: Final = frozenset("+-.0123456789")
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,4000}")
_OCTAL: Final = re.compile(r"0o[0-7]{1,4000}")
_HEXADECIMAL: Final = re.compile(r"0x[0-9a-fA-F]{1,4000}")
_FLOAT: Final = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)


class _TooDeepError(yaml.MarkedYAMLError):
    pass


class _CoreRules:
    """What the composer of PyYAML asks its resolver, answered without a schema."""

    depth = 0

    def resolve(self, kind: type[Node], _value: object, implicit: Any) -> str:
        """Return the tag of a node without one."""
        if kind is ScalarNode:
            return _PLAIN if implicit[0] else _STRING
        return f"{_TAG}map" if kind is MappingNode else f"{_TAG}seq"

    def descend_resolver(self, parent: Node | None, _index: object) -> None:
        """Refuse depth before the parser recurses into it."""
        self.depth += 1
        # Scalars count too here; a tree of fifty collections has one level more.
        if self.depth > DEEPEST + 1:
            mark = parent.start_mark if parent is not None else None
            raise _TooDeepError(problem=TOO_DEEP, problem_mark=mark)

    def ascend_resolver(self) -> None:
        """Leave a node."""
        self.depth -= 1


class _PythonComposer(_CoreRules, Reader, Scanner, Parser, Composer):
    """The parser of installations without libyaml: the same trees, ten times slower."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)


def _composer() -> Callable[[str], Any]:
    """Return the parser of libyaml where this installation has it."""
    if not yaml.__with_libyaml__:
        return _PythonComposer
    # The stubs do not know that the module exists only where libyaml does.
    parser: Any = importlib.import_module("yaml.cyaml").CParser
    return type("_FastComposer", (_CoreRules, parser), {})


_FAST_COMPOSER: Final = _composer()


def read_yaml(
    source: Source, *, fast: bool = True
) -> tuple[list[Parsed], list[Problem]]:
    """Return the documents of a YAML text, and what is wrong with the text.

    A syntax error hides what comes after it; the documents before it are returned.
    `fast=False` uses the parser that is written in Python.
    """
    parsed: list[Parsed] = []
    problems: list[Problem] = []
    try:
        for node in _nodes(source.text, fast=fast):
            if _is_empty(node):
                continue
            builder = _Builder(source)
            value = builder.value(node)
            problems += builder.problems
            if not builder.problems:
                parsed.append(_parsed(value, node))
    except ReaderError as error:
        problems.append(_unreadable(source, error))
    except yaml.MarkedYAMLError as error:
        problems.append(_malformed(source, error))
    if not parsed and not problems:
        problems.append(source.problem("the file is empty: it holds no job"))
    return parsed, problems


def _nodes(text: str, *, fast: bool) -> Iterator[Node]:
    composer = (_FAST_COMPOSER if fast else _PythonComposer)(text)
    while composer.check_node():
        node = composer.get_node()
        if node is not None:
            yield node


def _is_empty(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.tag == _PLAIN and node.value == ""


def _parsed(value: object, node: Node) -> Parsed:
    return Parsed(
        value=value, line=node.start_mark.line + 1, spots=lambda: _spots(node)
    )


class _Refused(Exception):  # noqa: N818 - a signal, caught where it is raised
    """The document grows or nests without end; reading on is no use."""


class _Builder:
    """Makes plain values from a node tree, and notes what is wrong on the way."""

    def __init__(self, source: Source) -> None:
        self.problems: list[Problem] = []
        self._source = source
        self._seen: set[int] = set()
        self._repeated = 0

    def value(self, node: Node) -> object:
        """Return the value of a tree."""
        try:
            return self._build(node, (), repeated=False)
        except _Refused:
            return None

    def _build(self, node: Node, loc: Loc, *, repeated: bool) -> object:
        if isinstance(node, ScalarNode):
            self._count(node, repeated=repeated)
            return self._scalar(node, loc)
        if len(loc) >= DEEPEST:
            self._refuse(TOO_DEEP, node)
        # A collection that was met before is met again through an alias.
        repeated = repeated or id(node) in self._seen
        self._seen.add(id(node))
        self._count(node, repeated=repeated)
        if node.tag not in _COLLECTION_TAGS:
            self._problem(f"the tag {node.tag} is not allowed", node, loc)
        if isinstance(node, SequenceNode):
            return [
                self._build(child, (*loc, index), repeated=repeated)
                for index, child in enumerate(node.value)
            ]
        return self._object(node, loc, repeated=repeated)

    def _object(
        self, node: Node, loc: Loc, *, repeated: bool, merged: int = 0
    ) -> dict[str, object]:
        made: dict[str, object] = {}
        inherited: list[Node] = []
        lines: dict[str, int] = {}
        for key, child in node.value:
            if _is_merge(key):
                inherited += _merged(child)
                continue
            name = self._key(key, loc)
            if name is None:
                continue
            if name in lines:
                message = f"the key is given twice, first in line {lines[name]}"
                self._problem(message, key, (*loc, name))
                continue
            lines[name] = key.start_mark.line + 1
            made[name] = self._build(child, (*loc, name), repeated=repeated)
        for parent in inherited:
            if not isinstance(parent, MappingNode) or merged >= DEEPEST:
                self._problem("<< must be given an object", parent, loc)
                continue
            self._count(parent, repeated=True)
            more = self._object(parent, loc, repeated=True, merged=merged + 1)
            made = {**more, **made}
        return made

    def _key(self, node: Node, loc: Loc) -> str | None:
        if isinstance(node, ScalarNode) and node.tag in {_PLAIN, _STRING}:
            return str(node.value)
        self._problem("a key must be text", node, loc)
        return None

    def _scalar(self, node: ScalarNode, loc: Loc) -> object:
        tag, text = node.tag, node.value
        if tag == _STRING:
            return text
        if tag not in _CORE_TAGS:
            self._problem(f"the tag {tag} is not allowed", node, loc)
            return None
        value = _core_value(text)
        if tag != _PLAIN and _TAG + _kind(value) != tag:
            wanted = tag.removeprefix(_TAG)
            self._problem(f"the text does not fit its tag !!{wanted}", node, loc)
        return value

    def _count(self, node: Node, *, repeated: bool) -> None:
        if repeated:
            self._repeated += 1
            if self._repeated > LARGEST_EXPANSION:
                self._refuse(
                    f"aliases repeat more than {LARGEST_EXPANSION} values", node
                )

    def _refuse(self, message: str, node: Node) -> None:
        self._problem(message, node, ())
        raise _Refused

    def _problem(self, message: str, node: Node, loc: Loc) -> None:
        field = printable(".".join(map(str, loc)))
        self.problems.append(self._source.problem(message, _place(node), field))


def _core_value(text: str) -> object:
    """Return what a plain scalar means in the core schema of YAML 1.2."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_STARTS:
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    if _OCTAL.fullmatch(text):
        return int(text, 0)
    if _HEXADECIMAL.fullmatch(text):
        return int(text, 0)
    return text


def _kind(value: object) -> str:
    if value is None:
        return "null"
    names = {bool: "bool", int: "int", float: "float", str: "str"}
    return names[type(value)]


def _is_merge(key: Node) -> bool:
    return isinstance(key, ScalarNode) and key.tag == _PLAIN and key.value == "<<"


def _merged(node: Node) -> list[Node]:
    """Return the objects that a merge key brings in; the earlier wins."""
    return list(node.value) if isinstance(node, SequenceNode) else [node]


def _spots(root: Node) -> Spots:
    """Return where every entry of a tree stands; the tree was built without fault."""
    spots: dict[Loc, Spot] = {}
    _find(root, (), None, spots)
    return spots


def _find(node: Node, loc: Loc, key: Place | None, spots: dict[Loc, Spot]) -> None:
    spots.setdefault(loc, Spot(_place(node), key))
    if isinstance(node, SequenceNode):
        for index, child in enumerate(node.value):
            _find(child, (*loc, index), None, spots)
    elif isinstance(node, MappingNode):
        inherited: list[Node] = []
        for name, child in node.value:
            if _is_merge(name):
                inherited += _merged(child)
            else:
                _find(child, (*loc, name.value), _place(name), spots)
        for parent in inherited:
            _find(parent, loc, None, spots)


def _place(node: Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)


def _unreadable(source: Source, error: ReaderError) -> Problem:
    message = f"not valid YAML: the character {error.character!r} is not allowed"
    if isinstance(error.character, int):
        message = (
            f"not valid YAML: the character #x{error.character:04x} is not allowed"
        )
    return source.problem(message, source.place(error.position))


def _malformed(source: Source, error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    place = Place(mark.line + 1, mark.column + 1) if mark is not None else None
    if isinstance(error, _TooDeepError):
        return source.problem(TOO_DEEP, place)
    reason = error.problem or error.context or "it cannot be read"
    if place is not None and "cannot start any token" in reason:
        line = source.text.split("\n")[place.line - 1]
        if line[place.column - 1 : place.column] == "\t":
            reason = "indent with spaces, not with tabs"
    return source.problem(f"not valid YAML: {reason}", place)
