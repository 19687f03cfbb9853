"""Measures the performance goals. `make bench` runs it; nothing here is a timed test."""

from __future__ import annotations
