"""Processes: starting one (`launcher`), seeing and signaling exactly one (`tree`), and
knowing which of them belong to which attempt (`family`).

Nothing here knows of sessions, output or records.
"""

from __future__ import annotations
