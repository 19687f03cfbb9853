"""How results look: formats, columns, times, and the output of runs."""

from __future__ import annotations
