"""`KEY=VALUE` as it is written on the command line, the same for every command."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import click


def params(texts: Sequence[str]) -> dict[str, Any]:
    """Return what `--param` gives: KEY=VALUE as text, KEY:=JSON as what the JSON says."""
    found: dict[str, Any] = {}
    for text, key, value in _parts(texts, "--param"):
        name = key.removesuffix(":")
        if not name:
            raise _refusal("--param", text)
        found[name] = value if name == key else _json(text, value)
    return found


def pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    """Return what an option gives whose values are text."""
    return {key: value for _, key, value in _parts(texts, option)}


def _parts(texts: Sequence[str], option: str) -> Iterator[tuple[str, str, str]]:
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise _refusal(option, text)
        yield text, key, value


def _json(text: str, value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError as error:
        raise click.UsageError(f"--param {text}: not JSON: {error}") from None


def _refusal(option: str, text: str) -> click.UsageError:
    return click.UsageError(f"{option} takes KEY=VALUE, got {text!r}")
