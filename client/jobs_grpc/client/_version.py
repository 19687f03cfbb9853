"""The version of the SDK and the CLI.

A constant, because asking the installed metadata costs 130 ms of every start; a meta
test holds it equal to the one in `pyproject.toml`.
"""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"
