"""The control plane: decides what is due, leases it to workers, and remembers."""

from __future__ import annotations
