"""Starting servers and workers, which are programs of their own and never imported."""

from __future__ import annotations
