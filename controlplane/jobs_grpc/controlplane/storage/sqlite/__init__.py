"""The embedded store: one SQLite file, one writer, a few readers."""

from __future__ import annotations

from .store import SqliteStore as SqliteStore
