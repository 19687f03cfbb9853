"""Processes: starting one (`launcher`), seeing and signaling exactly one (`tree`), and
knowing which of them belong to which attempt (`family`). `starter` is for the other side:
it starts the keeper itself.

Nothing here knows of sessions, output or records.
"""

from __future__ import annotations
